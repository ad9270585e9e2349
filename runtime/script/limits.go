package script

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/op"
)

// Limits bound what a script may take; a zero is the default. Time is bounded by the context.
type Limits struct {
	Steps  uint64  // of the interpreter, in all threads together; 1e9. --max-steps
	Memory op.Size // of live heap; 1 GiB. --max-memory
	Source op.Size // of one file; 1 MiB. --max-source
}

func (l Limits) steps() uint64 {
	if l.Steps == 0 {
		return 1e9
	}
	return l.Steps
}

func (l Limits) memory() uint64 {
	if l.Memory == 0 {
		return 1 << 30
	}
	return uint64(l.Memory)
}

func (l Limits) source() int64 {
	if l.Source == 0 {
		return 1 << 20
	}
	return int64(l.Source)
}

// LimitError is the end of a script that took too much.
type LimitError struct{ What string }

func (e *LimitError) Error() string { return e.What }

// quantum is how many steps a thread takes between two looks at what it has taken: some 5 ms.
const quantum = 200_000

// budget counts what all threads of a script take.
type budget struct {
	limits Limits
	steps  atomic.Uint64
}

func newBudget(l Limits) *budget { return &budget{limits: l} }

func (b *budget) taken() uint64 { return b.steps.Load() }

// meter makes the thread count its steps, and stop where the script has taken too much. The thread calls count where
// others may have taken steps: it stops at its next one where those were too many.
func (b *budget) meter(t *starlark.Thread, stop func(error)) (count, done func()) {
	var counted uint64
	count = func() {
		b.steps.Add(t.Steps - counted)
		counted = t.Steps
		left := uint64(0)
		if n, limit := b.steps.Load(), b.limits.steps(); n < limit {
			left = limit - n
		}
		t.SetMaxExecutionSteps(t.Steps + min(quantum, left+1))
	}
	count()
	t.OnMaxSteps = func(*starlark.Thread) {
		count()
		if err := b.exceeded(t); err != nil {
			t.SetMaxExecutionSteps(math.MaxUint64)
			stop(err)
			t.Cancel(err.Error())
		}
	}
	return count, func() { b.steps.Add(t.Steps - counted) }
}

func (b *budget) exceeded(t *starlark.Thread) error {
	if b.taken() > b.limits.steps() {
		return op.Hint(&LimitError{fmt.Sprintf("the script has taken more than %d steps", b.limits.steps())},
			"raise the limit with --max-steps")
	}
	if tooDeep(t) {
		return &LimitError{fmt.Sprintf("a list or tuple is nested more than %d deep", maxChain)}
	}
	return nil
}

func (b *budget) overMemory() error {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	if metrics.Read(live); live[0].Value.Uint64() <= b.limits.memory() {
		return nil
	}
	return op.Hint(&LimitError{fmt.Sprintf("the script holds more than %s of memory", op.Size(b.limits.memory()))},
		"raise the limit with --max-memory")
}

// watchMemory calls stop where a garbage collection leaves too much alive. The collector runs whenever the heap has
// doubled: a script can come to hold up to twice the limit, and a few huge steps are seen as well as many small ones.
func (b *budget) watchMemory(ctx context.Context, stop func(error)) {
	sentinel := new([16]byte)
	runtime.AddCleanup(sentinel, func(int) {
		if ctx.Err() != nil {
			return
		}
		if err := b.overMemory(); err != nil {
			stop(err)
			return
		}
		b.watchMemory(ctx, stop)
	}, 0)
}

// maxChain is how deep a list or tuple may nest at all. Hashing, freezing and comparing recurse in Go, whose stack
// ends the process somewhere beyond 5 million.
const maxChain = 100_000

// tooDeep looks along the first nested list or tuple of each variable in sight.
func tooDeep(t *starlark.Thread) bool {
	for d := range t.CallStackDepth() {
		f := t.DebugFrame(d)
		for i := range f.NumLocals() {
			if _, v := f.Local(i); chain(v) >= maxChain {
				return true
			}
		}
	}
	return false
}

// chain counts how deep v nests, up to maxChain; 0 where a list holds itself, which all of Starlark can bear.
func chain(v starlark.Value) int {
	var mark starlark.Value
	for n, next := 0, 1; n < maxChain; n++ {
		v = nested(v)
		if v == nil {
			return n
		}
		if l, ok := v.(*starlark.List); ok {
			if mark == l {
				return 0
			}
			if n >= next {
				mark, next = l, 2*n
			}
		}
	}
	return maxChain
}

// nested is the first of the first few elements that has elements itself, nil where there is none.
func nested(v starlark.Value) starlark.Value {
	s, ok := v.(starlark.Indexable)
	if !ok {
		return nil
	}
	for i := 0; i < min(s.Len(), 4); i++ {
		switch x := s.Index(i).(type) {
		case starlark.Tuple:
			return x
		case *starlark.List:
			return x
		}
	}
	return nil
}

// grace is how long the interpreter may take to stop, and patience how often that is looked at.
const (
	grace    = 5 * time.Second
	patience = grace / 10
)

// watched runs f under every limit, and calls Abandon where the interpreter does not stop although told to. Time in
// which no thread interprets (ops that end, a performer that waits for them) does not count.
func (s *Script) watched(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	s.cancel = cancel
	s.budget.watchMemory(ctx, cancel)
	ended, end := context.WithCancel(context.WithoutCancel(ctx))
	watching := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(watching)
		s.abandonWhenStuck(ended, context.Cause(ctx))
	})
	err := f(ctx)
	end()
	if !stop() {
		<-watching
	}
	cancel(nil)
	return err
}

func (s *Script) abandonWhenStuck(ended context.Context, cause error) {
	if s.options.Clock == nil || s.options.Abandon == nil {
		return
	}
	for stuck := time.Duration(0); stuck < grace; {
		if s.options.Clock.Sleep(ended, patience) != nil {
			return
		}
		if s.interpreting.Load() > 0 {
			stuck += patience
		} else {
			stuck = 0
		}
	}
	s.options.Abandon(fmt.Sprintf("the interpreter has not stopped %s after it was told to (%v)", op.Duration(grace), cause))
}
