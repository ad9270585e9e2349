// Command mcpd is a small server to be deployed by tests: it answers for its health, its metrics, its version and the
// first words of the Model Context Protocol, and it misbehaves on request. It keeps no data and refuses no client.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// Stamped at build time: -ldflags "-X main.version=1.2.0 -X main.fault=health=unhealthy,slow_start=3s".
var (
	version = "dev"
	fault   = ""
)

// drain is how long requests in flight may take to end after SIGTERM.
const drain = 2 * time.Second

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	listen := flag.String("listen", "127.0.0.1:"+port, "address to listen on")
	check := flag.String("check", "", "ask this URL whether all is well, and exit: for images without a program that can")
	flag.Parse()
	if *check != "" {
		os.Exit(ask(*check))
	}
	faults, err := parseFaults(fault, os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mcpd:", err)
		os.Exit(2)
	}
	if err := run(*listen, faults); err != nil {
		fmt.Fprintln(os.Stderr, "mcpd:", err)
		os.Exit(1)
	}
}

// ask is 0 where the answer is 200, else 1.
func ask(url string) int {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer resp.Body.Close()
	io.Copy(os.Stdout, io.LimitReader(resp.Body, 4096))
	if resp.StatusCode != http.StatusOK {
		return 1
	}
	return 0
}

func run(addr string, f faults) error {
	if f.crashAfter > 0 {
		time.AfterFunc(f.crashAfter, crash)
	}
	stop, cancel := stopping(f.ignoreTerm)
	defer cancel()
	select {
	case <-time.After(f.slowStart):
	case <-stop.Done():
		return nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("mcpd %s listens on %s\n", version, l.Addr())
	defer runtime.KeepAlive(taken(f.memory))
	s := &http.Server{Handler: newApp(version, f, time.Now()).routes(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-stop.Done():
	}
	late, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := s.Shutdown(late); errors.Is(err, context.DeadlineExceeded) {
		s.Close()
	}
	fmt.Printf("mcpd %s stops\n", version)
	return nil
}

func stopping(ignoreTerm bool) (context.Context, context.CancelFunc) {
	if ignoreTerm {
		signal.Ignore(syscall.SIGTERM)
		return signal.NotifyContext(context.Background(), os.Interrupt)
	}
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// taken is memory of so many MiB, each page of it written to.
func taken(mib int) []byte {
	b := make([]byte, mib<<20)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return b
}

func crash() {
	fmt.Fprintln(os.Stderr, "panic: mcpd was told to crash\n\ngoroutine 1 [running]:\nmain.crash()")
	os.Exit(3)
}
