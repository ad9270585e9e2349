package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
)

// OnUndo asks for a check at the end of an undo. What is asked for first runs last.
func (r *Run) OnUndo(ctx context.Context, b op.Bound) error {
	if class := b.Class(); class != op.ClassRead {
		return misuse("", "cannot ask for %s on undo: it is a %s, and only what looks may run then", b.FullName(), class)
	}
	held := r.leases()
	if len(held) == 0 {
		return misuse("call lease(environment) first", "cannot ask for a check on undo: this run holds no lease")
	}
	b.Path = r.count(b.Branch)
	params, err := r.Registry.Encode(b.Params)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order++
	r.logs[r.order] = held
	return r.emitLocked(event.CheckAsked{Op: b.Path, Name: b.FullName(), Summary: b.Summary(), At: b.At, Params: params, Order: r.order}, true, held...)
}

// Commit is the point of no return: what was changed before it stays, whatever happens behind it.
func (r *Run) Commit(_ context.Context, message, at, branch string) error {
	if branch != "" {
		return misuse("", "cannot commit inside a branch of parallel: the other branches may still fail; commit behind it")
	}
	if r.attempts > 0 {
		return misuse("", "cannot commit inside attempt: it may still be taken back; commit behind it")
	}
	return r.commit(message, at)
}

func (r *Run) commit(message, at string) error {
	held := r.leases()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.emitLocked(event.Committed{Message: message, At: at, Order: r.order}, true, held...); err != nil {
		return fmt.Errorf("cannot commit: %w", err)
	}
	return nil
}

// Attempt is a savepoint: when fn fails with an error that a script may catch, what fn changed is taken back before
// Attempt returns, and the error is caught. Any other error, and an undo that is not whole, is err.
func (r *Run) Attempt(ctx context.Context, branch string, fn func(ctx context.Context) error) (caught, err error) {
	r.mu.Lock()
	mark := r.order
	r.attempts++
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.attempts--
		r.mu.Unlock()
	}()
	failure := fn(ctx)
	if failure == nil {
		return nil, nil
	}
	if !r.catchable(ctx, failure) {
		return nil, failure
	}
	changes := r.since(mark, branch)
	if len(changes) == 0 {
		return failure, nil
	}
	budget, cancel := r.undoContext(ctx)
	defer cancel()
	t := r.own().all(budget, "attempt: "+failure.Error(), changes)
	if t.lost != nil {
		return nil, errors.Join(failure, t.lost)
	}
	if t.differs = append(append(t.differs, t.finals...), t.stays...); len(t.differs) > 0 {
		return nil, errors.Join(failure, &Incomplete{Run: r.ID, Differs: t.differs, Settled: !t.failed})
	}
	return failure, nil
}

// since lists the open changes of a branch behind a mark, newest first.
func (r *Run) since(mark int64, branch string) []journal.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []journal.Change
	for _, c := range r.state.Open() {
		if c.Order > mark && strings.HasPrefix(c.Op, branch) {
			out = append(out, c)
		}
	}
	return out
}

// Parallel runs fn for each branch, at most limit at a time (0: all). The first error by the branches' order is
// returned; the others are cancelled and awaited.
func (r *Run) Parallel(ctx context.Context, _, branch string, names []string, limit int, fn func(ctx context.Context, i int, branch string) error) error {
	position := r.count(branch)
	var g errgroup.Group
	if limit > 0 {
		g.SetLimit(limit)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	failures := make([]error, len(names))
	for i, name := range names {
		g.Go(func() error {
			if ctx.Err() != nil {
				failures[i] = context.Cause(ctx)
				return nil
			}
			if failures[i] = fn(ctx, i, position+"/"+name+"/"); failures[i] != nil {
				cancel(errSibling)
			}
			return nil
		})
	}
	g.Wait()
	var sibling error
	for _, err := range failures {
		if err != nil && !errors.Is(err, errSibling) {
			return err
		}
		sibling = errors.Join(sibling, err)
	}
	return sibling
}

// errSibling is the cause by which a branch ends because another one failed.
var errSibling = errors.New("another branch failed")
