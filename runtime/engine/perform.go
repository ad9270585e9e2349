package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/op"
)

// maxInline is the longest inverse, in bytes, that stands in the undo log itself; a longer one is a blob beside it, and so
// is one that holds contents, or a secret that the records would conceal.
const maxInline = 16 << 10

// Perform counts the op, records it, performs it, and records how it ended.
func (r *Run) Perform(ctx context.Context, b op.Bound) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	b.Path = r.count(b.Branch)
	b = b.WithKey(op.Key(r.ID + "/" + b.Path))
	ctx = op.WithSpeaker(ctx, &speaker{r, b.Path})
	class := b.Class()
	if class != op.ClassChange && class != op.ClassFinal {
		f := r.started(b)
		r.emit(f, false)
		return r.finish(ctx, b, nil)
	}
	logs, err := r.claim(ctx, b)
	if err != nil {
		return nil, err
	}
	var result any
	err = inOrder(
		func() error { return r.prepare(ctx, b, logs) },
		func() (err error) { result, err = r.finish(ctx, b, logs); return err },
	)
	return result, err
}

// count gives the next position of a branch: "7", "7/web/2".
func (r *Run) count(branch string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[branch]++
	return fmt.Sprintf("%s%d", branch, r.counts[branch])
}

func (r *Run) started(b op.Bound) event.OpStarted {
	params, _ := r.Registry.EncodeValue(b.Params)
	return event.OpStarted{Op: b.Path, Name: b.FullName(), Class: string(b.Class()), Summary: b.Summary(), At: b.At, Target: b.Target(), Params: params}
}

// claim finds the undo logs that an effect is recorded in, and makes sure that their leases are still held.
func (r *Run) claim(ctx context.Context, b op.Bound) ([]*lease, error) {
	target := b.Target()
	held := r.leases()
	if target != "" {
		held = nil
		r.mu.Lock()
		if l := r.held[target]; l != nil {
			held = []*lease{l}
		}
		r.mu.Unlock()
		if held == nil {
			return nil, misuse("call lease(environment) first, with the environment of this target", "cannot change %s: this run does not hold its lease", target)
		}
		if err := r.touch(target, b.Branch); err != nil {
			return nil, err
		}
	}
	for _, l := range held {
		if err := l.Check(ctx); err != nil {
			return nil, fmt.Errorf("cannot change %s: %w", l.target, err)
		}
	}
	return held, nil
}

// touch has a branch change a target, unless another branch of the same parallel has: the first to ask has it, and that
// is one step, however close the second is. Only the last branch is kept: what it replaces lies above or under it, or in
// a parallel that has ended.
func (r *Run) touch(target, branch string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if first, second, part := parting(r.touched[target], branch); part {
		return misuse("", "cannot change %s: the branches %s and %s of one parallel both do; a target changes in one order only", target, first, second)
	}
	r.touched[target] = branch
	return nil
}

// parting is the two branches of one parallel in which two paths, such as "7/web/2/a/", go apart. Paths that go apart at
// a position are in two parallels, one after the other; of a path and its beginning one is inside the other.
func parting(a, b string) (first, second string, part bool) {
	p, q := strings.Split(a, "/"), strings.Split(b, "/")
	for i := 0; i+2 < min(len(p), len(q)) && p[i] == q[i]; i += 2 { // a position, a name; behind the last slash is nothing
		if p[i+1] != q[i+1] {
			return p[i+1], q[i+1], true
		}
	}
	return "", "", false
}

// prepare computes the inverse, which only reads, and makes it durable with the op's start. What cannot begin has no start:
// it has changed nothing.
func (r *Run) prepare(ctx context.Context, b op.Bound, logs []*lease) error {
	if _, err := guarded(func() (any, error) { return nil, b.Ready(ctx) }); err != nil {
		return err
	}
	f := r.started(b)
	if b.Class() == op.ClassFinal {
		f.NoInverse = b.Why
		if s, ok := b.Params.(op.Staying); ok {
			f.Stays = s.Stays()
		}
	} else {
		inverse, err := guarded(func() (any, error) { return b.Inverse(ctx) })
		if err != nil {
			return err
		}
		if err := r.encodeInverse(ctx, &f, inverse, logs); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order++
	f.Order = r.order
	r.logs[f.Order] = logs
	if err := r.emitLocked(f, true, logs...); err != nil {
		return fmt.Errorf("cannot record the op before its effect, so it is not performed: %w", err)
	}
	return nil
}

func (r *Run) encodeInverse(ctx context.Context, f *event.OpStarted, inverse any, logs []*lease) error {
	if inverse == nil {
		f.NoInverse = "there is nothing to put back"
		return nil
	}
	wire, err := r.Registry.Encode(inverse)
	if err != nil {
		return err
	}
	f.Inverse = wire
	_, contents := inverse.(op.Contents)
	if len(wire) <= maxInline && !contents && r.Host.Secrets.Scrubber.String(string(wire)) == string(wire) {
		return nil
	}
	for _, l := range logs {
		digest, err := l.log.Put(ctx, wire)
		if err != nil {
			return fmt.Errorf("cannot store the inverse: %w", err)
		}
		f.Inverse, _ = json.Marshal(blobRef{digest})
	}
	return nil
}

type blobRef struct {
	Blob string `json:"blob"`
}

// finish performs an op whose start is on record and records its end. An op that asks to be tried again keeps its key
// and its first inverse: a later one would restore a half-changed world.
func (r *Run) finish(ctx context.Context, b op.Bound, logs []*lease) (any, error) {
	begun := r.Host.Clock.Now()
	result, err := r.tries(ctx, b)
	err = r.conceal(err)
	f := event.OpFinished{Op: b.Path, Name: b.FullName(), Seconds: r.Host.Clock.Now().Sub(begun).Seconds()}
	if err != nil {
		f.Error = err.Error()
	} else {
		result = op.MapStrings(result, r.Host.Secrets.Scrubber.String)
		f.Result, _ = r.Registry.EncodeValue(result)
		r.learn(b, result)
	}
	e := r.emit(f, false, logs...)
	if e == nil {
		return result, err
	}
	r.emit(f, false)
	if err == nil {
		err = fmt.Errorf("cannot record that the op is done: %w", e)
	}
	return result, err
}

// concealed is an op's error without the secrets that it quotes: attempt gives its text to the script.
type concealed struct {
	error
	text string
}

func (c *concealed) Error() string { return c.text }
func (c *concealed) Unwrap() error { return c.error }

func (r *Run) conceal(err error) error {
	if err == nil {
		return nil
	}
	if text := r.Host.Secrets.Scrubber.String(err.Error()); text != err.Error() {
		return &concealed{err, text}
	}
	return err
}

func (r *Run) tries(ctx context.Context, b op.Bound) (any, error) {
	for n := 1; ; n++ {
		result, err := guarded(func() (any, error) { return b.Do(ctx) })
		var again *op.Again
		if !errors.As(err, &again) || n >= again.Tries || ctx.Err() != nil {
			return result, err
		}
		r.emit(event.OpOutput{Op: b.Path, Text: fmt.Sprintf("try %d of %d: %s", n, again.Tries, again.Err)}, false)
	}
}

// learn keeps what an op's result says about what serves.
func (r *Run) learn(b op.Bound, result any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l, ok := result.(op.Live); ok && l.LiveVersion() != "" {
		r.live = l.LiveVersion()
		if b.Class() == op.ClassChange {
			r.wanted, r.healthy = r.live, nil
		}
	}
	if j, ok := result.(op.Judged); ok {
		healthy := j.IsHealthy()
		r.healthy = &healthy
	}
}

// guarded turns a panic into an error.
func guarded[T any](f func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = op.NewFault(p)
		}
	}()
	return f()
}

// speaker hears an op and turns what it says into facts.
type speaker struct {
	run  *Run
	path string
}

func (s *speaker) Output(line string) { s.run.emit(event.OpOutput{Op: s.path, Text: line}, false) }

func (s *speaker) Progress(done, total int64, unit string) {
	s.run.emit(event.OpProgress{Op: s.path, Done: done, Total: total, Unit: unit}, false)
}

func (s *speaker) Waiting(what string, until time.Time) {
	s.run.emit(event.OpWaiting{Op: s.path, What: what, Until: until.UTC()}, false)
}

func (s *speaker) Child(c op.Child) error {
	return s.run.emit(event.ChildStarted{Op: s.path, PID: c.PID, Start: c.Start, Boot: c.Boot, Name: c.Name}, true, s.run.leases()...)
}

func (s *speaker) Half(string) error { return nil }
