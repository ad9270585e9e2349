package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// watch follows containers of a project by the engine's events. It subscribes before anything is started, so that
// nothing is missed, and again where the stream breaks.
type watch struct {
	engine  *Engine
	project string
	clock   host.Clock
	life    context.Context // of what goes on beside those who wait
	end     context.CancelFunc
	all     sync.WaitGroup

	mu      sync.Mutex
	follows map[string]*followed // by ID
	changed chan struct{}        // closed at each change
	looks   int
	last    int64 // the time of the last event, by the engine's clock
}

// followed is a container and what is known of it.
type followed struct {
	state   State
	since   Since
	begun   time.Time     // by our clock, when it was first seen to run since it last started; zero: before we looked
	fresh   bool          // about to be started by us
	known   bool          // somebody has looked
	stale   time.Duration // since the last look failed: the pause before the next; 0 where it did not
	asking  bool
	turn    int // of the look that told it
	probing bool
}

// newWatch subscribes, and returns when it has.
func newWatch(ctx context.Context, e *Engine, project string, clock host.Clock) (*watch, error) {
	within, end := context.WithCancel(ctx)
	w := &watch{engine: e, project: project, clock: clock, life: within, end: end, follows: map[string]*followed{}, changed: make(chan struct{})}
	stream := w.subscribe(within)
	select {
	case err := <-stream.Err:
		end()
		return nil, fmt.Errorf("cannot follow the engine's events: %w", err)
	default:
	}
	w.all.Go(func() { w.run(within, stream) })
	return w, nil
}

// close ends everything that the watch has begun.
func (w *watch) close() {
	w.end()
	w.all.Wait()
}

func (w *watch) subscribe(ctx context.Context) client.EventsResult {
	o := client.EventsListOptions{Filters: make(client.Filters).Add("type", "container").Add("label", labelProject+"="+w.project)}
	w.mu.Lock()
	if w.last > 0 {
		o.Since = fmt.Sprintf("%d.%09d", w.last/1e9, w.last%1e9)
	}
	w.mu.Unlock()
	return w.engine.Events(ctx, o)
}

// resume is the first pause before a stream that broke is opened again; it doubles up to a second.
const resume = 50 * time.Millisecond

// run hears events until ctx ends.
func (w *watch) run(ctx context.Context, stream client.EventsResult) {
	pause := resume
	for {
		select {
		case m := <-stream.Messages:
			pause = resume
			w.hear(ctx, m)
		case <-stream.Err:
			if ctx.Err() != nil || w.clock.Sleep(ctx, pause) != nil {
				return
			}
			pause = min(2*pause, time.Second)
			stream = w.subscribe(ctx)
			w.lookAll(ctx) // what came while nobody listened
		case <-ctx.Done():
			return
		}
	}
}

// telling are the events after which a container may stand otherwise. Those of our own checks are none.
var telling = []string{"start", "die", "oom", "restart", "destroy", "pause", "unpause"}

func (w *watch) hear(ctx context.Context, m events.Message) {
	w.mu.Lock()
	w.last = max(w.last, m.TimeNano)
	f := w.follows[m.Actor.ID]
	if f != nil {
		f.since.OOM = f.since.OOM || m.Action == events.ActionOOM
		f.since.Gone = f.since.Gone || m.Action == events.ActionDestroy
		if m.Action == events.ActionDie {
			f.since.Exit, _ = strconv.Atoi(m.Actor.Attributes["exitCode"])
		}
	}
	w.mu.Unlock()
	name := string(m.Action)
	if f != nil && (slices.Contains(telling, name) || strings.HasPrefix(name, "health_status")) {
		w.look(ctx, m.Actor.ID)
	}
}

func (w *watch) lookAll(ctx context.Context) {
	w.mu.Lock()
	ids := slices.Collect(maps.Keys(w.follows))
	w.mu.Unlock()
	for _, id := range ids {
		w.look(ctx, id)
	}
}

// follow begins to follow a container. One that is fresh is about to be started by us.
func (w *watch) follow(ctx context.Context, id string, fresh bool) {
	w.mu.Lock()
	known := w.follows[id] != nil
	if !known {
		w.follows[id] = &followed{fresh: fresh}
	}
	w.mu.Unlock()
	if !known {
		w.look(ctx, id)
	}
}

// look asks how a container is, and tells those who wait. What it cannot learn it asks again: no event would come.
func (w *watch) look(ctx context.Context, id string) {
	w.mu.Lock()
	w.looks++
	turn := w.looks
	w.mu.Unlock()
	got, err := w.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.follows[id]
	switch {
	case f == nil || turn < f.turn:
		return // one that asked later knows already
	case errdefs.IsNotFound(err):
		f.since.Gone, f.known, f.stale = true, true, 0
	case err != nil:
		w.lookAgain(f, id)
	default:
		w.saw(f, stateOf(got.Container))
	}
	f.turn = turn
	close(w.changed)
	w.changed = make(chan struct{})
}

// saw notes how a container is.
func (w *watch) saw(f *followed, now State) {
	was := f.state
	if now.running() && (!was.running() || !now.Started.Equal(was.Started)) {
		f.begun, f.since.Passed = w.clock.Now(), false
	}
	if !f.known && !f.fresh { // the engine counts restarts from each start by hand
		f.since.Restarts, f.begun = now.Restarts, time.Time{}
	}
	f.state, f.known, f.stale = now, true, 0
}

// lookAgain looks again after a pause, which doubles up to a second. The engine has failed to tell.
func (w *watch) lookAgain(f *followed, id string) {
	f.stale = min(max(resume, 2*f.stale), time.Second)
	if f.asking {
		return
	}
	f.asking = true
	pause := f.stale
	w.all.Go(func() {
		err := w.clock.Sleep(w.life, pause)
		w.mu.Lock()
		f.asking = false
		w.mu.Unlock()
		if err == nil {
			w.look(w.life, id)
		}
	})
}

// stand is how a container is now, and a channel that is closed when that may have changed.
func (w *watch) stand(id string) (State, Since, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.follows[id]
	since := f.since
	if !f.known || f.stale > 0 {
		return State{}, since, w.changed
	}
	since.Up = settle
	if !f.begun.IsZero() {
		since.Up = w.clock.Now().Sub(f.begun)
	}
	return f.state, since, w.changed
}

// await waits until a container has come to a condition, or will not, and tells what its check says meanwhile.
func (w *watch) await(ctx context.Context, id, condition string, tell func(string)) (Verdict, error) {
	w.follow(ctx, id, false)
	sure := false
	for {
		state, since, changed := w.stand(id)
		v := Judge(state, since, condition)
		if v.Outcome == Ready && v.Settled && !sure { // its end may not have been told yet
			sure = true
			w.look(ctx, id)
			continue
		}
		if v.Outcome != Wait {
			return v, nil
		}
		sure = false
		if state.Health == "starting" && (condition == healthy || condition == ready) {
			w.probe(ctx, id, state, tell)
		}
		again, cancel := ctx, func() {}
		if v.Again > 0 {
			again, cancel = w.clock.Timeout(ctx, v.Again, nil)
		}
		select {
		case <-changed:
		case <-again.Done():
		}
		cancel()
		if ctx.Err() != nil {
			return v, context.Cause(ctx)
		}
	}
}
