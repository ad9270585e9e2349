package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// endpoint starts a server for notices, whose URL is the variable HOOK then. What it is sent goes into the file hook.log,
// a line each. It answers as told: endpoint ok|500|hang|reset.
func endpoint(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: endpoint ok|500|hang|reset")
	}
	name, how := ts.MkAbs("hook.log"), args[0]
	ts.Check(os.WriteFile(name, nil, 0o644))
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		log, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			fmt.Fprintf(log, "%s %s\n", r.URL.Path, body)
			log.Close()
		}
		mu.Unlock()
		switch how {
		case "500":
			w.WriteHeader(http.StatusInternalServerError)
		case "hang":
			<-r.Context().Done()
		case "reset":
			if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		}
	}))
	ts.Defer(func() { s.CloseClientConnections(); s.Close() })
	ts.Setenv("HOOK", s.URL+"/canary-hook-5f1d6f0c")
}
