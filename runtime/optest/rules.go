package optest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
)

// The limits, in real time.
const (
	promptly = time.Second      // from a cancelled context to the end of Do
	patience = time.Second      // without a word
	atMost   = 30 * time.Second // for one Do in a test's world
)

type rule func(t testing.TB, s Suite, name string, world func(testing.TB) World)

// rules are what every op holds in every world of its own.
func rules() map[string]rule {
	return map[string]rule{
		"looking changes nothing": looking,
		"says what it does":       speaking,
		"ends when told":          ending,
		"is put back":             restoring,
		"half of it is put back":  halves,
	}
}

// stand is an op in a world, ready to be performed.
type stand struct {
	World
	suite Suite
	bound bound
	op    op.Bound
}

func set(t testing.TB, s Suite, name string, world func(testing.TB) World) stand {
	t.Helper()
	w := world(t)
	b, err := s.bind(w.Host)
	if err != nil {
		t.Fatal(err)
	}
	o := b.op(t, w.Params)
	if o.Name != name {
		t.Fatalf("the world is of %s and not of %s", o.Name, name)
	}
	summary(t, o)
	return stand{w, s, b, o}
}

// looking: Preview, Difference and Inverse, and Do of a Read that neither sends nor waits, write nothing, start nothing,
// send nothing and wait for nothing.
func looking(t testing.TB, s Suite, name string, world func(testing.TB) World) {
	t.Helper()
	at := set(t, s, name, world)
	before := at.Snapshot()
	frozen, err := s.bind(hosttest.Frozen(t, at.Host))
	if err != nil {
		t.Fatal(err)
	}
	o := frozen.op(t, at.Params)
	_, previewErr := o.Preview(t.Context())
	_, differErr := o.Difference(t.Context())
	_, inverseErr := o.Inverse(t.Context())
	err = errors.Join(previewErr, differErr, inverseErr)
	if o.Class() == op.ClassRead && !o.Sends {
		_, doErr := o.Do(t.Context())
		err = errors.Join(err, doErr)
	}
	if err != nil {
		t.Errorf("looking fails: %v", err)
	}
	if after := at.Snapshot(); after != before {
		t.Errorf("looking changed the world from\n%s\nto\n%s", before, after)
	}
}

// inverse reads what would put the op back; nil for nothing.
func (at stand) inverse(t testing.TB) any {
	t.Helper()
	inv, err := at.op.Inverse(t.Context())
	if err != nil {
		t.Fatalf("cannot read the inverse: %v", err)
	}
	return inv
}

// do performs an op as the engine would, and gives what was heard. It fails the test when the op says nothing for too long.
func do(t testing.TB, ctx context.Context, o op.Bound, h *heard) (any, error) {
	t.Helper()
	limited, cancel := host.SystemClock{}.Timeout(ctx, atMost, fmt.Errorf("no end after %s", atMost))
	defer cancel()
	listening, stop := context.WithCancel(limited)
	over := make(chan struct{})
	go func() {
		defer close(over)
		h.watch(listening)
	}()
	result, err := o.Do(op.WithSpeaker(limited, h))
	stop()
	<-over
	return result, err
}

// speaking: an op that blocks for over a second has announced it.
func speaking(t testing.TB, s Suite, name string, world func(testing.TB) World) {
	t.Helper()
	at := set(t, s, name, world)
	h := newHeard()
	if _, err := do(t, t.Context(), at.op, h); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if h.silent() {
		t.Errorf("%s says nothing for over %s", name, patience)
	}
}

// ending: Do ends promptly when its context has ended before, or ends while it waits; a Change is put back after it.
func ending(t testing.TB, s Suite, name string, world func(testing.TB) World) {
	t.Helper()
	for _, when := range []string{"before", "while it waits"} {
		at := set(t, s, name, world)
		before, inv := at.Snapshot(), at.inverse(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		h := newHeard()
		stop := func() { h.stopped = host.SystemClock{}.Now(); cancel(errStopped) }
		if when == "before" {
			stop()
		} else {
			h.waits = stop
		}
		do(t, ctx, at.op, h)
		cancel(nil)
		if took := (host.SystemClock{}).Now().Sub(h.stopped); !h.stopped.IsZero() && took > promptly {
			t.Errorf("told to stop %s, %s ends after %s", when, name, took)
		}
		at.putBack(t, "told to stop "+when, before, inv)
	}
}

// restoring: what Do changed, its inverse, read before and sent through the wire, puts back; again, it finds nothing to do.
func restoring(t testing.TB, s Suite, name string, world func(testing.TB) World) {
	t.Helper()
	at := set(t, s, name, world)
	before, inv := at.Snapshot(), at.inverse(t)
	if _, err := do(t, t.Context(), at.op, newHeard()); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	at.putBack(t, "done", before, inv)
}

// halves: stopped after each of its durable steps, as if killed, an op is put back; so is one whose inverse was stopped
// after each of its own.
func halves(t testing.TB, s Suite, name string, world func(testing.TB) World) {
	t.Helper()
	for n := 1; ; n++ {
		at := set(t, s, name, world)
		before, inv := at.Snapshot(), at.inverse(t)
		h := newHeard()
		h.half = n
		_, err := do(t, t.Context(), at.op, h)
		if h.at == "" {
			break
		}
		if !errors.Is(err, errStopped) || h.steps > n {
			t.Errorf("stopped at %q, %s goes on: %v", h.at, name, err)
		}
		at.putBack(t, fmt.Sprintf("stopped at %q", h.at), before, inv)
	}
	for n := 1; ; n++ {
		at := set(t, s, name, world)
		before, inv := at.Snapshot(), at.inverse(t)
		if inv == nil {
			return
		}
		if _, err := do(t, t.Context(), at.op, newHeard()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		h := newHeard()
		h.half = n
		do(t, t.Context(), at.bound.op(t, inv), h)
		if h.at == "" {
			return
		}
		at.putBack(t, fmt.Sprintf("its inverse stopped at %q", h.at), before, inv)
	}
}

// putBack performs the inverse twice and compares the world. An op that has none has changed nothing, unless it is a Make
// or a Final, of which nothing is asked.
func (at stand) putBack(t testing.TB, when, before string, inv any) {
	t.Helper()
	switch at.op.Class() {
	case op.ClassMake, op.ClassFinal:
		return
	}
	for _, already := range []bool{false, true} {
		if inv == nil {
			break
		}
		result, err := do(t, t.Context(), at.bound.op(t, inv), newHeard())
		if err != nil {
			t.Errorf("%s: not put back: %v", when, err)
			return
		}
		if r, ok := result.(op.Restored); !ok || already && !r.Already && !at.Blind {
			t.Errorf("%s: put back again, it gives %+v and not that it was already so", when, result)
		}
	}
	if after := at.Snapshot(); after != before {
		t.Errorf("%s: not put back; was\n%s\nis\n%s", when, before, after)
	}
}
