package follow

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	firstWait = 50 * time.Millisecond
	longWait  = time.Second // an API server that is restarted is noticed within that
)

// news is what a source tells.
type news struct {
	source  int
	all     []api.Object // where listed: all that there are
	listed  bool
	object  *api.Object // one that is new or has changed
	removed bool        // or has gone
	down    error       // the server does not answer
	up      bool        // it answers again
	fatal   error       // it refuses, and will refuse again
	checked *checked
	classes map[string]bool // StorageClasses, and whether each waits for a first consumer
}

// source lists and watches one selection.
type source struct {
	id   int
	of   api.Selection
	conn *api.Conn
	tell func(news) // returns when the news is taken, or the watch is over

	wait time.Duration
	once bool // it has been listed before
}

// run lists, then watches, until ctx ends or the server refuses for good.
func (s *source) run(ctx context.Context) {
	for ctx.Err() == nil {
		objects, version, err := s.conn.Select(ctx, s.of)
		if err == nil {
			s.wait, s.once = 0, true
			s.tell(news{source: s.id, all: objects, listed: true})
			err = s.watch(ctx, version)
		}
		if err != nil && !s.again(ctx, err) {
			return
		}
	}
}

// watch follows from a version on, over every break of the connection; nil says that all must be listed anew.
func (s *source) watch(ctx context.Context, version string) error {
	for ctx.Err() == nil {
		w, err := s.conn.Watch(ctx, s.of, version)
		if err == nil {
			s.tell(news{source: s.id, up: true})
			version, err = s.hear(ctx, w, version)
		}
		if expired(err) {
			return nil
		}
		if !s.again(ctx, err) {
			return err
		}
	}
	return nil
}

// hear takes the events of one watch to its end, and says why it ended; that the server ended it is no error.
func (s *source) hear(ctx context.Context, w *api.Watching, version string) (last string, err error) {
	defer w.Close()
	for {
		e, err := w.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return version, err
		}
		switch e.Type {
		case watch.Added, watch.Modified:
			s.tell(news{source: s.id, object: e.Object})
		case watch.Deleted:
			s.tell(news{source: s.id, object: e.Object, removed: true})
		}
		version, s.wait = e.Object.GetResourceVersion(), 0
	}
}

// again tells of an error, where there is one, and waits; false where it makes no sense to go on.
func (s *source) again(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if err == nil {
		return s.pause(ctx)
	}
	if !api.Passing(err) && !(s.once && api.IsNotFound(err)) {
		s.tell(news{source: s.id, fatal: err})
		return false
	}
	s.tell(news{source: s.id, down: err})
	if after, ok := apierrors.SuggestsClientDelay(err); ok && after > 0 {
		return s.conn.Clock.Sleep(ctx, time.Duration(after)*time.Second) == nil
	}
	return s.pause(ctx)
}

// pause waits longer each time, until something is heard.
func (s *source) pause(ctx context.Context) bool {
	if s.wait == 0 {
		s.wait = firstWait
		return ctx.Err() == nil
	}
	err := s.conn.Clock.Sleep(ctx, s.wait)
	s.wait = min(2*s.wait, longWait)
	return err == nil
}

// expired reports that a server does not know any more what has happened since a version.
func expired(err error) bool {
	return err != nil && (apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || code(err) == http.StatusGone)
}

func code(err error) int32 {
	if status, ok := err.(apierrors.APIStatus); ok {
		return status.Status().Code
	}
	return 0
}
