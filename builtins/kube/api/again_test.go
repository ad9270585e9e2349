package api

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/erlmcp/runner/runtime/host/hosttest"
)

func status(code int, after int32) error {
	s := metav1.Status{Code: int32(code), Reason: metav1.StatusReason(http.StatusText(code))}
	if after > 0 {
		s.Details = &metav1.StatusDetails{RetryAfterSeconds: after}
	}
	return &apierrors.StatusError{ErrStatus: s}
}

func noon() time.Time { return time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC) }

// tried is what becomes of a request that fails, first in one way and then in another for ever.
func tried(answered bool, first, then error) (attempts int, took time.Duration, err error) {
	clock := hosttest.NewClock(noon())
	c := &Conn{Clock: clock, attempt: attempt, answered: &atomic.Bool{}}
	c.answered.Store(answered)
	err = c.again(context.Background(), func(context.Context) error {
		attempts++
		if attempts == 1 {
			return first
		}
		return then
	})
	return attempts, clock.Now().Sub(noon()), err
}

func TestAgain(t *testing.T) {
	broken := errors.New("connection reset by peer")
	for _, c := range []struct {
		name        string
		answered    bool
		first, then error
		least, most int           // attempts
		from, to    time.Duration // until the end
		fails       bool
	}{
		{"at once", false, nil, nil, 1, 1, 0, 0, false},
		{"a broken connection", true, broken, nil, 2, 2, firstWait, firstWait, false},
		{"500", true, status(500, 0), nil, 2, 2, firstWait, firstWait, false},
		{"429 with Retry-After", true, status(429, 7), nil, 2, 2, 7 * time.Second, 7 * time.Second, false},
		{"503 with Retry-After", true, status(503, 3), nil, 2, 2, 3 * time.Second, 3 * time.Second, false},
		{"a server that is restarted", true, broken, broken, 60, 70, Patience - longWait, Patience + longWait, true},
		{"a server that never was there", false, broken, broken, 5, 10, curiosity - longWait, curiosity + longWait, true},
		{"500 for ever", false, status(500, 0), status(500, 0), 60, 70, Patience - longWait, Patience + longWait, true},
		{"404", true, status(404, 0), nil, 1, 1, 0, 0, true},
		{"409", true, status(409, 0), nil, 1, 1, 0, 0, true},
		{"501", true, status(501, 0), nil, 1, 1, 0, 0, true},
		{"another authority", true, fmt.Errorf("get: %w", x509.UnknownAuthorityError{}), nil, 1, 1, 0, 0, true},
		{"a plugin", true, errors.New(`Get "https://x": getting credentials: exec: no such program`), nil, 1, 1, 0, 0, true},
		{"no such kind", true, &ErrNoKind{schema.GroupVersionKind{Kind: "Widget"}}, nil, 1, 1, 0, 0, true},
	} {
		attempts, took, err := tried(c.answered, c.first, c.then)
		if attempts < c.least || attempts > c.most || took < c.from || took > c.to || (err != nil) != c.fails {
			t.Errorf("%s: %d attempts in %s, %v", c.name, attempts, took, err)
		}
	}
}

// Who gives up says why, and not what the request has met.
func TestAgainIsGivenUp(t *testing.T) {
	why := errors.New("the run is stopped")
	ctx, stop := context.WithCancelCause(t.Context())
	c := &Conn{Clock: hosttest.NewClock(noon()), attempt: attempt, answered: &atomic.Bool{}}
	err := c.again(ctx, func(context.Context) error {
		stop(why)
		return errors.New("broken")
	})
	if !errors.Is(err, why) {
		t.Error(err)
	}
}

// Who was let in and is so no longer is asked who he is once more, as a program may give new credentials meanwhile, and then
// is told what may have become of them.
func TestCredentialsAreOver(t *testing.T) {
	refused := status(http.StatusUnauthorized, 0)
	attempts, _, err := tried(true, refused, refused)
	if attempts != 2 || !IsUnauthorized(err) || !strings.Contains(err.Error(), "takes these credentials no longer") {
		t.Errorf("%d attempts: %v", attempts, err)
	}
	if attempts, _, err := tried(true, refused, nil); attempts != 2 || err != nil {
		t.Errorf("with new ones %d attempts: %v", attempts, err)
	}
}
