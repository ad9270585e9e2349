// Command app is what tests put into containers: it serves, fails, ends, or eats memory, as its arguments say.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	switch os.Args[1] {
	case "exit":
		n, _ := strconv.Atoi(os.Args[2])
		fmt.Println("ends with", n)
		os.Exit(n)
	case "eat":
		var all [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = 1
			}
			all = append(all, b)
		}
	case "http": // http VERSION: slow to begin, quick to answer, and ends with its last request
		time.Sleep(300 * time.Millisecond)
		serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Millisecond)
			io.WriteString(w, os.Args[2])
		}))
		return
	case "proxy":
		to, _ := url.Parse("http://web:8080")
		p := httputil.NewSingleHostReverseProxy(to)
		// An address that has gone between the question for it and the call is given up, for the other one.
		p.Transport = again{&http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext}}
		serve(p)
		return
	case "get":
		r, err := http.Get(os.Args[2])
		if err != nil || r.StatusCode != http.StatusOK {
			fmt.Println(r, err)
			os.Exit(1)
		}
		return
	case "ready":
		if _, err := os.Stat("/ready"); err != nil {
			os.Exit(1)
		}
		return
	case "fail":
		fmt.Println("the database is away")
		os.Exit(1)
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	if len(os.Args) > 2 {
		d, _ := time.ParseDuration(os.Args[2])
		time.AfterFunc(d, func() { os.WriteFile("/ready", nil, 0o600) })
	}
	fmt.Println("serves")
	<-c
}

// serve serves until it is told to end, and then ends what it has begun.
func serve(h http.Handler) {
	s := &http.Server{Addr: ":8080", Handler: h}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		<-c
		s.Shutdown(context.Background())
		close(done)
	}()
	s.ListenAndServe()
	<-done
}

// again sends a request that changes nothing once more when it got no answer, as proxies do.
type again struct{ http.RoundTripper }

func (a again) RoundTrip(r *http.Request) (*http.Response, error) {
	got, err := a.RoundTripper.RoundTrip(r)
	if err != nil && r.Method == http.MethodGet {
		return a.RoundTripper.RoundTrip(r)
	}
	return got, err
}
