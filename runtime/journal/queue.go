package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/erlmcp/runner/runtime/host"
)

// Runs that wait for a lease stand in a queue of tickets: numbered files, each locked by its run while that lives. A
// run waits on the first ticket, and at the head of the queue on the lease, by flock: nothing is polled, everyone hears
// when the lease changes hands, and a run that died in the queue is stepped over at once.

func (r Root) wait(ctx context.Context, o Owner, hear func(Owner, int)) (*rootLease, error) {
	mine, ticket, err := r.enqueue(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("cannot queue for the lease of %s: %w", r.Path, err)
	}
	defer host.Unlock(ticket)
	defer r.Files.Remove(r.ticket(mine))
	for {
		before, err := r.ahead(mine)
		if err != nil {
			return nil, err
		}
		if len(before) == 0 {
			return r.head(ctx, o, hear)
		}
		if err := r.outwait(ctx, before, hear); err != nil {
			return nil, err
		}
	}
}

// head waits for the lease itself.
func (r Root) head(ctx context.Context, o Owner, hear func(Owner, int)) (*rootLease, error) {
	l, err := r.tryLease(o)
	if held := (*Held)(nil); errors.As(err, &held) {
		hear(held.By, 0)
		return r.lockLease(ctx, o)
	}
	return l, err
}

func (r Root) ticket(n int) string { return r.dir("queue", fmt.Sprintf("%09d", n)) }

// enqueue takes the next number. The folder's own lock makes the numbers follow the order of asking.
func (r Root) enqueue(ctx context.Context, o Owner) (int, host.File, error) {
	if err := host.MkdirAll(r.Files, r.dir("queue"), 0o755); err != nil {
		return 0, nil, err
	}
	door, err := r.Files.Open(r.dir("queue", ".door"), os.O_RDONLY|os.O_CREATE, 0o644)
	if err != nil {
		return 0, nil, err
	}
	if err := host.Lock(ctx, door); err != nil {
		return 0, nil, err
	}
	defer host.Unlock(door)
	all, err := r.tickets()
	if err != nil {
		return 0, nil, err
	}
	n := 1
	if len(all) > 0 {
		n = all[len(all)-1] + 1
	}
	f, err := r.Files.Open(r.ticket(n), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return 0, nil, err
	}
	if got, err := host.TryLock(f); err != nil || !got {
		return 0, nil, errors.Join(err, f.Close(), errors.New("the ticket is taken"))
	}
	b, _ := json.Marshal(o)
	if _, err := f.Write(b); err != nil {
		return 0, nil, errors.Join(err, host.Unlock(f))
	}
	return n, f, nil
}

func (r Root) tickets() ([]int, error) {
	entries, err := r.Files.ReadDir(r.dir("queue"))
	if err != nil {
		return nil, err
	}
	var out []int
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(e.Name(), "%09d", &n); err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// ahead lists the tickets before mine.
func (r Root) ahead(mine int) ([]int, error) {
	all, err := r.tickets()
	return slices.DeleteFunc(all, func(n int) bool { return n >= mine }), err
}

// outwait returns when the run of the first ticket has gone, and removes what it left.
func (r Root) outwait(ctx context.Context, before []int, hear func(Owner, int)) error {
	first := r.ticket(before[0])
	f, err := r.Files.Open(first, os.O_RDONLY, 0) // it may be another user's
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	gone, err := host.TryLock(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if !gone {
		by, err := r.holder()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		hear(by, len(before))
		if err := host.Lock(ctx, f); err != nil {
			return err
		}
	}
	if err := r.Files.Remove(first); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, host.Unlock(f))
	}
	return host.Unlock(f)
}

func (r Root) holder() (Owner, error) {
	f, err := r.Files.Open(r.dir("lease"), os.O_RDONLY, 0)
	if err != nil {
		return Owner{}, err
	}
	defer f.Close()
	return readOwner(f), nil
}

func (r Root) lockLease(ctx context.Context, o Owner) (*rootLease, error) {
	for {
		f, err := r.Files.Open(r.dir("lease"), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		if err := host.Lock(ctx, f); err != nil {
			return nil, err
		}
		if l, err := r.claim(f, o); !errors.Is(err, ErrLost) {
			return l, err
		}
	}
}
