package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erlmcp/runner/runtime/journal"
)

const starters = 50

func fresh(t *testing.T) string { return filepath.Join(t.TempDir(), "root") }

// A holder that is killed is replaced at once: by who waits, and by who asks then; also while a process that it started
// lives on.
func TestKilledHolderIsReplaced(t *testing.T) {
	for _, mode := range []string{"hold", "parent"} {
		for _, waits := range []bool{false, true} {
			t.Run(fmt.Sprint(mode, " waits ", waits), func(t *testing.T) {
				root := fresh(t)
				holder := start(t, mode, root, "holder")
				if mode == "parent" {
					pid, err := strconv.Atoi(strings.TrimPrefix(holder.says(), "child "))
					must(t, err)
					defer syscall.Kill(pid, syscall.SIGKILL)
				}
				holder.expect("held")
				if !waits {
					holder.kill()
					take(t, home(root), "next")
					return
				}
				heard, got := make(chan bool, 9), make(chan error, 1)
				go func() {
					l, err := home(root).Take(t.Context(), owner("next"), func(journal.Owner, int) { heard <- true })
					if err == nil {
						err = errors.Join(l.Check(t.Context()), l.Release())
					}
					got <- err
				}()
				<-heard
				begun := time.Now()
				holder.kill()
				must(t, <-got)
				if d := time.Since(begun); d > 5*time.Second {
					t.Errorf("the lease came after %s", d)
				}
			})
		}
	}
}

// queue starts runs that ask one after the other, while holder holds.
func queue(t *testing.T, root, holder string, n int) (line []*process, names []string) {
	t.Helper()
	for i := range n {
		name := fmt.Sprint("w", i)
		p := start(t, "queue", root, name)
		p.expect(fmt.Sprint("waiting ", holder, " ", i))
		line, names = append(line, p), append(names, name)
	}
	return line, names
}

func TestFiftyWaitInOrder(t *testing.T) {
	root := fresh(t)
	holder := take(t, home(root), "holder")
	line, names := queue(t, root, "holder", starters)
	must(t, holder.Release())
	for _, p := range line {
		p.ends()
	}
	if got := order(t, root); !slices.Equal(got, names) {
		t.Errorf("they came as %q", got)
	}
	if left := tickets(t, root); len(left) > 0 {
		t.Errorf("the queue keeps %q", left)
	}
}

func TestFiftyAtOnceWithAQueue(t *testing.T) {
	root := fresh(t)
	var all []*process
	for i := range starters {
		all = append(all, start(t, "queue", root, fmt.Sprint("p", i)))
	}
	for _, p := range all {
		p.ends()
	}
	got := order(t, root)
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != starters {
		t.Errorf("%d of %d came: %q", len(got), starters, got)
	}
	if left := tickets(t, root); len(left) > 0 {
		t.Errorf("the queue keeps %q", left)
	}
}

// The same within one process, where they come closer together: all begin in one instant.
func TestFiftyAtOnceInOneProcess(t *testing.T) {
	root := fresh(t)
	holder := take(t, home(root), "holder")
	var inside atomic.Int32
	var all errgroup.Group
	begin, waiting := make(chan bool), make(chan bool, 100*starters)
	for i := range starters {
		all.Go(func() error {
			<-begin
			told := false
			l, err := home(root).Take(t.Context(), owner(fmt.Sprint("p", i)), func(journal.Owner, int) {
				if !told {
					told = true
					waiting <- true
				}
			})
			if err != nil {
				return err
			}
			if n := inside.Add(1); n != 1 {
				return fmt.Errorf("%d hold the lease", n)
			}
			runtime.Gosched()
			err = l.Check(t.Context())
			inside.Add(-1)
			return errors.Join(err, l.Release())
		})
	}
	close(begin)
	for range starters {
		select {
		case <-waiting:
		case <-time.After(time.Minute):
			t.Fatal("not all of them wait")
		}
	}
	must(t, holder.Release(), all.Wait())
	if left := tickets(t, root); len(left) > 0 {
		t.Errorf("the queue keeps %q", left)
	}
}

func TestFiftyAtOnceWithoutAQueue(t *testing.T) {
	root := fresh(t)
	var all []*process
	for i := range starters {
		all = append(all, start(t, "hold", root, fmt.Sprint("p", i)))
	}
	var holder string
	var refused []string
	for _, p := range all {
		switch said := p.says(); {
		case said == "held" && holder == "":
			holder = p.name
		case strings.HasPrefix(said, "refused"):
			refused = append(refused, strings.TrimPrefix(said, "refused "))
		default:
			t.Errorf("%s says %q, while %q holds", p.name, said, holder)
		}
	}
	for _, by := range refused {
		if by != holder && by != "refused" { // the holder may not have said its name yet
			t.Errorf("one is refused by %q, while %s holds", by, holder)
		}
	}
	if holder == "" || len(refused) != starters-1 {
		t.Errorf("%q holds, %d are refused", holder, len(refused))
	}
	for _, p := range all {
		p.ends()
	}
	if _, err := os.Stat(filepath.Join(root, ".runner", "queue")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a queue, there is one: %v", err)
	}
}

// Who is killed in the queue is stepped over, wherever it stood, and leaves nothing for long.
func TestKilledWaiterIsSteppedOver(t *testing.T) {
	for _, dead := range [][]int{{0}, {1}, {3}, {0, 1}, {1, 2}, {0, 1, 2, 3}} {
		t.Run(fmt.Sprint(dead), func(t *testing.T) {
			root := fresh(t)
			holder := take(t, home(root), "holder")
			line, names := queue(t, root, "holder", 4)
			for _, i := range dead {
				line[i].kill()
				names[i] = ""
			}
			must(t, holder.Release())
			for i, p := range line {
				if names[i] != "" {
					p.ends()
				}
			}
			last := start(t, "queue", root, "last")
			if said := last.says(); said != "held" {
				t.Errorf("with nobody alive in the queue, the next says %q", said)
			}
			last.ends()
			want := append(slices.DeleteFunc(names, func(s string) bool { return s == "" }), "last")
			if got := order(t, root); !slices.Equal(got, want) {
				t.Errorf("they came as %q, want %q", got, want)
			}
			if left := tickets(t, root); len(left) > 0 {
				t.Errorf("the queue keeps %q", left)
			}
		})
	}
}
