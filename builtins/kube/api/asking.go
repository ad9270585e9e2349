package api

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// ErrAsking says that a program which gives credentials is still at it.
var ErrAsking = errors.New("getting credentials: the program that gives them has not ended")

// impatient is the way to a server for which a program gives credentials. client-go waits for that program, whoever has
// given up meanwhile: who has does not wait with it.
type impatient struct {
	base  http.RoundTripper
	clock Clock
}

// leaving is how long what honours the end of a request needs for that.
const leaving = 100 * time.Millisecond

type answered struct {
	response *http.Response
	err      error
}

// RoundTrip implements http.RoundTripper.
func (i impatient) RoundTrip(r *http.Request) (*http.Response, error) {
	done := make(chan answered, 1)
	own := r.Clone(r.Context()) // which its goroutine may outlive
	go func() {
		response, err := i.base.RoundTrip(own)
		done <- answered{response, err}
	}()
	select {
	case a := <-done:
		return a.response, a.err
	case <-r.Context().Done():
	}
	soon, cancel := i.clock.Timeout(context.WithoutCancel(r.Context()), leaving, nil)
	defer cancel()
	select {
	case a := <-done:
		return a.response, a.err
	case <-soon.Done():
		go func() {
			if a := <-done; a.err == nil {
				a.response.Body.Close()
			}
		}()
		return nil, ErrAsking
	}
}

// WrappedRoundTripper is what client-go asks for.
func (i impatient) WrappedRoundTripper() http.RoundTripper { return i.base }
