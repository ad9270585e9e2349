package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// protocolVersion is the revision of the Model Context Protocol that initialize answers with.
const protocolVersion = "2025-06-18"

type app struct {
	version  string
	faults   faults
	start    time.Time
	requests atomic.Int64
}

func newApp(version string, f faults, start time.Time) *app {
	return &app{version: version, faults: f, start: start}
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", a.health("vm", "memory", "disk", "application", "supervisors", "gproc", "database", "transport"))
	mux.HandleFunc("GET /health/ready", a.health("gproc", "database", "transport"))
	mux.HandleFunc("GET /health/live", a.health("vm", "memory"))
	mux.HandleFunc("GET /health/startup", a.health("application", "supervisors", "gproc"))
	mux.HandleFunc("GET /metrics", a.metrics)
	mux.HandleFunc("POST /mcp", a.mcp)
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, a.version) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.requests.Add(1)
		mux.ServeHTTP(w, r)
	})
}

type check struct {
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

type document struct {
	Status  string            `json:"status"`
	Version string            `json:"version"`
	Checks  map[string]check  `json:"checks"`
	Metrics map[string]int64  `json:"metrics"`
	System  map[string]string `json:"system"`
}

// health answers for some subsystems, in the way that the faults ask for.
func (a *app) health(subsystems ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case a.faults.redirect:
			http.Redirect(w, r, "/login", http.StatusFound)
			return
		case a.faults.garbage:
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, "\x00\x1b[31m\xff{]garbage\n")
			return
		case a.faults.brackets:
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, strings.Repeat("[", 2<<20))
			return
		}
		doc := a.document(subsystems)
		w.Header().Set("Content-Type", "application/json")
		if doc.Status == "unhealthy" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		json.NewEncoder(w).Encode(doc)
	}
}

func (a *app) document(subsystems []string) document {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	doc := document{
		Status: "healthy", Version: a.version, Checks: map[string]check{},
		Metrics: map[string]int64{
			"memory_total":   int64(mem.Sys),
			"process_count":  int64(runtime.NumGoroutine()),
			"uptime_seconds": int64(time.Since(a.start).Seconds()),
		},
		System: map[string]string{"runtime": runtime.Version(), "os": runtime.GOOS, "architecture": runtime.GOARCH},
	}
	for _, name := range subsystems {
		c := check{Status: "healthy"}
		if name == "database" && a.faults.health != "" {
			c = check{Status: a.faults.health, Message: "connection to 127.0.0.1:5432 refused"}
			doc.Status = a.faults.health
		}
		doc.Checks[name] = c
	}
	return doc
}

func (a *app) metrics(w http.ResponseWriter, _ *http.Request) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprintf(w, "# TYPE mcpd_build_info gauge\nmcpd_build_info{version=%q} 1\n", a.version)
	fmt.Fprintf(w, "# TYPE mcpd_uptime_seconds gauge\nmcpd_uptime_seconds %.3f\n", time.Since(a.start).Seconds())
	fmt.Fprintf(w, "# TYPE mcpd_memory_bytes gauge\nmcpd_memory_bytes %d\n", mem.Sys)
	fmt.Fprintf(w, "# TYPE mcpd_requests_total counter\nmcpd_requests_total %d\n", a.requests.Load())
}

type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// mcp answers one JSON-RPC 2.0 request.
func (a *app) mcp(w http.ResponseWriter, r *http.Request) {
	var req struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Method  string          `json:"method"`
	}
	answer := map[string]any{"jsonrpc": "2.0", "id": nil}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	switch {
	case err != nil || !json.Valid(body):
		answer["error"] = rpcError{-32700, "parse error"}
	case json.Unmarshal(body, &req) != nil || req.JSONRPC != "2.0" || req.Method == "":
		answer["error"] = rpcError{-32600, "invalid request"}
	case req.ID == nil: // a notification gets no answer
		w.WriteHeader(http.StatusAccepted)
		return
	case req.Method == "initialize":
		answer["id"] = req.ID
		answer["result"] = map[string]any{
			"protocolVersion": protocolVersion,
			"serverInfo":      map[string]string{"name": "mcpd", "version": a.version},
			"capabilities":    struct{}{},
		}
	default:
		answer["id"] = req.ID
		answer["error"] = rpcError{-32601, "method not found: " + req.Method}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}
