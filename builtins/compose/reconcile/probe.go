package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// A container that is starting has its own health check run by us too: an engine runs it for the first time after a
// whole interval, which is 30 s where nothing is said.
const (
	firstProbe    = 100 * time.Millisecond
	lastProbe     = time.Second      // the pauses double up to it
	checkInterval = 30 * time.Second // the engine's default
	checkTimeout  = 30 * time.Second // likewise
	unspoken      = 3 * time.Second  // a check that fails for less is the start of most programs, and not told
)

// probe begins to run a container's check, once, until it passes or there is no need.
func (w *watch) probe(ctx context.Context, id string, s State, tell func(string)) {
	argv := testOf(s)
	w.mu.Lock()
	f := w.follows[id]
	if f.probing || argv == nil {
		w.mu.Unlock()
		return
	}
	f.probing = true
	w.mu.Unlock()
	w.all.Go(func() {
		passed := w.probes(ctx, id, argv, s.Check, tell)
		w.mu.Lock()
		f.probing = false
		f.since.Passed = f.since.Passed || passed
		w.mu.Unlock()
		if passed {
			w.look(ctx, id)
		}
	})
}

// testOf is the command of a container's check; nil where there is none.
func testOf(s State) []string {
	if s.Check == nil || len(s.Check.Test) < 2 {
		return nil
	}
	switch s.Check.Test[0] {
	case "CMD":
		return s.Check.Test[1:]
	case "CMD-SHELL":
		if len(s.Shell) > 0 {
			return append(append([]string{}, s.Shell...), s.Check.Test[1])
		}
		return []string{"/bin/sh", "-c", s.Check.Test[1]}
	}
	return nil
}

func (w *watch) probes(ctx context.Context, id string, argv []string, check *container.HealthConfig, tell func(string)) (passed bool) {
	interval, patience := check.Interval, check.Timeout
	if interval == 0 {
		interval = checkInterval
	}
	if patience == 0 {
		patience = checkTimeout
	}
	first, told := w.clock.Now(), ""
	for pause := firstProbe; pause < interval; pause = min(2*pause, lastProbe) {
		if w.clock.Sleep(ctx, pause) != nil {
			return false
		}
		begun := w.clock.Now()
		state, since, _ := w.stand(id)
		if state.Health != "starting" || !state.running() || since.Gone {
			return false
		}
		passed, why := w.test(ctx, id, argv, patience)
		if passed {
			now, _, _ := w.stand(id)
			return now.Started.Equal(state.Started) // and not another process since
		}
		if why != "" && why != told && w.clock.Now().Sub(first) >= unspoken {
			told = why
			tell(why)
		}
		if w.clock.Sleep(ctx, w.clock.Now().Sub(begun)-pause) != nil { // a check that is hard work takes half the time at most
			return false
		}
	}
	return false
}

// test runs the check once, as the engine does: as the container's user, with its environment. Of one that fails it gives
// the last line, or its exit code.
func (w *watch) test(ctx context.Context, id string, argv []string, patience time.Duration) (passed bool, why string) {
	within, cancel := w.clock.Timeout(ctx, patience, nil)
	defer cancel()
	made, err := w.engine.ExecCreate(within, id, client.ExecCreateOptions{Cmd: argv, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return false, ""
	}
	stream, err := w.engine.ExecAttach(within, made.ID, client.ExecAttachOptions{})
	if err != nil {
		return false, ""
	}
	stop := context.AfterFunc(within, stream.Close)
	said := &bounded{}
	stdcopy.StdCopy(said, said, stream.Reader)
	if stop() {
		stream.Close()
	}
	got, err := w.engine.ExecInspect(within, made.ID, client.ExecInspectOptions{})
	switch {
	case within.Err() != nil && ctx.Err() == nil:
		return false, "it takes more than " + patience.String()
	case err != nil || got.Running:
		return false, ""
	case got.ExitCode == 0:
		return true, ""
	}
	return false, cmp.Or(lastLine(said.String()), fmt.Sprintf("it exits with %d", got.ExitCode))
}
