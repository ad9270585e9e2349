package register

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// pauses are waited between the attempts at one request: an engine that is restarted is back after a second or two, and
// each request here can be made twice.
var pauses = []time.Duration{0, 100 * time.Millisecond, 400 * time.Millisecond, 1500 * time.Millisecond}

const (
	attempt  = 3 * time.Second // how long one attempt may take
	patience = 7 * time.Second // how long all may take
)

var errNoAnswer = errors.New("the engine does not answer")

// again makes a request, and again when the connection or the engine failed: not when it was understood and refused.
func (r *Register) again(ctx context.Context, request func(context.Context) error) error {
	all, cancel := r.Clock.Timeout(ctx, patience, errNoAnswer)
	defer cancel()
	err := r.once(all, request)
	for _, pause := range pauses {
		if err == nil || refused(err) || r.Clock.Sleep(all, pause) != nil {
			break
		}
		err = r.once(all, request)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case client.IsErrConnectionFailed(err):
		return fmt.Errorf("cannot reach the Docker engine at %s", r.Engine.DaemonHost())
	}
	return err
}

func (r *Register) once(ctx context.Context, request func(context.Context) error) error {
	limited, cancel := r.Clock.Timeout(ctx, attempt, errNoAnswer)
	defer cancel()
	err := request(limited)
	if err != nil && limited.Err() != nil {
		return context.Cause(limited)
	}
	return err
}

func refused(err error) bool {
	return errdefs.IsInvalidArgument(err) || errdefs.IsNotFound(err) || errdefs.IsConflict(err) || errdefs.IsPermissionDenied(err) || errdefs.IsUnauthorized(err)
}
