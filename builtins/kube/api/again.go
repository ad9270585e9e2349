package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Patience is how long a request may take, with all its attempts: an API server that is restarted is back within that.
const Patience = 60 * time.Second

const (
	attempt   = 10 * time.Second // how long one attempt may take
	curiosity = 5 * time.Second  // how long a server is tried that has never answered
	firstWait = 100 * time.Millisecond
	longWait  = time.Second
)

// ErrNoAnswer says that a connection was made, or not even that, and nothing came.
var ErrNoAnswer = errors.New("the API server does not answer")

// again makes a request, and again when the connection or the server failed or it asked to come later: not when it was
// understood and refused. Each request here can be made twice. A server that has answered before is waited for.
func (c *Conn) again(ctx context.Context, request func(context.Context) error) error {
	long, known := Patience, c.answered.Load()
	if !known {
		long = curiosity
	}
	all, cancel := c.Clock.Timeout(ctx, long, ErrNoAnswer)
	defer cancel()
	wait := firstWait
	for renewed := false; ; {
		err := c.once(all, request)
		c.heard(err)
		if IsUnauthorized(err) && !renewed { // a program that gives credentials is asked for new ones by such an answer
			renewed = true
			continue
		}
		if err == nil || !passing(err) || all.Err() != nil {
			return cause(ctx, over(err))
		}
		pause := wait
		if after, ok := apierrors.SuggestsClientDelay(err); ok && after > 0 {
			pause = time.Duration(after) * time.Second
		}
		if c.Clock.Sleep(all, pause) != nil {
			return cause(ctx, err)
		}
		if !known && c.answered.Load() { // it is there
			return c.again(ctx, request)
		}
		wait = min(2*wait, longWait)
	}
}

func (c *Conn) once(ctx context.Context, request func(context.Context) error) error {
	limited, cancel := c.Clock.Timeout(ctx, c.attempt, ErrNoAnswer)
	defer cancel()
	err := request(limited)
	switch {
	case err == nil || limited.Err() == nil:
		return err
	case errors.Is(err, ErrAsking):
		return ErrAsking
	}
	return ErrNoAnswer
}

// cause is why a request failed: when it was given up by the caller, the caller's reason.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// spent says of a refusal that whoever is refused now was let in before.
type spent struct{ err error }

func (s *spent) Error() string { return "it takes these credentials no longer: they may have expired" }

func (s *spent) Unwrap() error { return s.err }

// over tells that credentials are over: Reach has shown that they were good.
func over(err error) error {
	if IsUnauthorized(err) {
		return &spent{err}
	}
	return err
}

// heard notes that the server is there, which what it refuses shows too.
func (c *Conn) heard(err error) {
	var status apierrors.APIStatus
	if err == nil || errors.As(err, &status) {
		c.answered.Store(true)
	}
}

// passing reports an error that may be another one, or none, in a moment.
func passing(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		return code == http.StatusTooManyRequests || code >= http.StatusInternalServerError && code != http.StatusNotImplemented
	}
	var (
		noKind    *ErrNoKind
		untrusted *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
	)
	switch {
	case errors.As(err, &noKind), errors.As(err, &untrusted), errors.As(err, &authority), errors.As(err, &name):
		return false
	}
	return errors.Is(err, ErrAsking) || !strings.Contains(err.Error(), "getting credentials: ") // what client-go's exec plugins say
}

// IsRefusal reports that a server has understood a request, and does not do it.
func IsRefusal(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && !passing(err)
}

// Reach asks for the server's version, once: the error is why there is no way to it.
func (c *Conn) Reach(ctx context.Context) error {
	err := c.once(ctx, func(ctx context.Context) error {
		return c.rest.Get().AbsPath("/version").MaxRetries(0).Do(ctx).Error()
	})
	c.heard(err)
	return err
}
