package releases

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
)

// releaseOf reads "3:2L": the third release, accepted second, live.
func releaseOf(text string) Release {
	var r Release
	var id int
	fmt.Sscanf(strings.TrimSuffix(text, "L"), "%d:%d", &id, &r.Accepted)
	r.ID, r.Good, r.Live = fmt.Sprintf("%06d", id), r.Accepted > 0, strings.HasSuffix(text, "L")
	return r
}

func TestRetire(t *testing.T) {
	for _, c := range []struct {
		all              string
		keep, keepFailed int
		want             string
	}{
		{"", 1, 0, ""},
		{"1:0L", 1, 0, ""},
		{"1:1 2:2 3:3L", 5, 3, ""},
		{"1:1 2:2 3:3 4:4L", 2, 0, "1 2"},
		{"1:1 2:2 3:3L", 1, 0, "1"},        // the last good one that is not live stays
		{"1:1 2:2 3:0L", 1, 0, "1"},        // though a failed one is live
		{"1:1L 2:2 3:3", 1, 0, "2"},        // after a rollback
		{"1:3 2:2 3:1L", 1, 0, "2"},        // by acceptance, not by number
		{"1:0 2:0 3:0 4:1L", 5, 2, "1"},    // failed ones have a cap of their own
		{"1:0 2:0 3:0L 4:0", 5, 1, "1 2"},  // the live one does not count
		{"1:0 2:1 3:0 4:0", 1, 0, "1 3 4"}, // none is live
		{"9:0 10:0 11:0 100:0", 1, 3, "9"}, // by number, not by text
	} {
		var all []Release
		for _, text := range strings.Fields(c.all) {
			all = append(all, releaseOf(text))
		}
		var got []string
		for _, rel := range retire(all, c.keep, c.keepFailed) {
			got = append(got, strings.TrimLeft(rel.ID, "0"))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s, keeping %d and %d: deletes %q, want %q", c.all, c.keep, c.keepFailed, got, c.want)
		}
	}
}

// stays states the law of retention for one release, without order and count of what retire does.
func stays(rel Release, all []Release, keep, keepFailed int) bool {
	betterGood, betterOther, newerFailed := 0, 0, 0
	for _, o := range all {
		if o.Accepted > rel.Accepted {
			betterGood++
			if !o.Live {
				betterOther++
			}
		}
		if o.Accepted == 0 && !o.Live && o.ID > rel.ID {
			newerFailed++
		}
	}
	if rel.Good {
		return rel.Live || betterGood < keep || betterOther == 0
	}
	return rel.Live || newerFailed < keepFailed
}

func TestRetireIsTheLaw(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	for range 20_000 {
		orders, all := r.Perm(20), []Release(nil)
		for i := range r.IntN(12) {
			rel := Release{ID: fmt.Sprintf("%06d", i+1)}
			if r.IntN(3) > 0 {
				rel.Accepted, rel.Good = orders[i]+1, true
			}
			all = append(all, rel)
		}
		if len(all) > 0 && r.IntN(8) > 0 {
			all[r.IntN(len(all))].Live = true
		}
		keep, keepFailed := 1+r.IntN(4), r.IntN(3)
		gone := retire(all, keep, keepFailed)
		for _, rel := range all {
			if stays(rel, all, keep, keepFailed) == slices.Contains(gone, rel) {
				t.Fatalf("keeping %d and %d of %+v: %s is wrong", keep, keepFailed, all, rel.ID)
			}
		}
	}
}

// past is a root under random operations, and what must be true of it as the test remembers it.
type past struct {
	*site
	r    *rand.Rand
	good []string // accepted, the latest last
	said []string
}

// mortal performs an op, killed at a random call one time in three; false when it was.
func (p *past) mortal(what string, do func(*host.Host) error) bool {
	p.t.Helper()
	m := hosttest.NewMortal(p.h)
	if p.r.IntN(3) == 0 {
		m.DieAt(1 + p.r.IntN(25))
	}
	err := do(m.Host())
	p.said = append(p.said, what+" "+m.Where())
	if m.Where() != "" {
		return false
	}
	p.must(err)
	return true
}

// change performs a Change. Where it was killed its inverse puts it back, as recovery would; sometimes also where not.
func (p *past) change(what string, inverse func() (any, error), do func(*host.Host) error) (stays bool) {
	inv, err := inverse()
	p.must(err)
	if p.mortal(what, do) && p.r.IntN(4) > 0 {
		return true
	}
	p.said = append(p.said, "undo "+what)
	if o, ok := inv.(op.Op[*host.Host, op.Restored]); ok {
		_, err := o.Do(p.t.Context(), p.h)
		p.must(err)
	}
	return false
}

func (p *past) ids() []string {
	ids, _, err := at(p.h, p.root).IDs()
	p.must(err)
	return ids
}

func (p *past) step() {
	ctx, ids := p.t.Context(), p.ids()
	live := strings.TrimPrefix(p.link(), "releases/")
	precious := []string{live}
	if i := slices.IndexFunc(p.reversed(), func(id string) bool { return id != live }); i >= 0 {
		precious = append(precious, p.reversed()[i])
	}
	pruned := false
	switch p.r.IntN(5) {
	case 0, 1:
		i := Install{Root: p.root, Artifact: p.folder("v", map[string]string{"a": "1"}), Key: p.key()}
		p.mortal("install", func(h *host.Host) error { _, err := i.Do(ctx, h); return err })
	case 2:
		if len(ids) > 0 {
			a := Activate{Root: p.root, ID: ids[p.r.IntN(len(ids))], Key: p.key()}
			p.change("activate "+a.ID, func() (any, error) { return a.Inverse(ctx, p.h) }, func(h *host.Host) error { _, err := a.Do(ctx, h); return err })
		}
	case 3:
		if a := (Accept{Root: p.root, Key: p.key()}); live != "absent" {
			if p.change("accept "+live, func() (any, error) { return a.Inverse(ctx, p.h) }, func(h *host.Host) error { _, err := a.Do(ctx, h); return err }) {
				p.good = append(slices.DeleteFunc(p.good, func(id string) bool { return id == live }), live)
			}
		}
	case 4:
		pruned = true
		o := Prune{Root: p.root, Keep: 1 + p.r.IntN(2), KeepFailed: p.r.IntN(2)}
		p.mortal(o.Summary(), func(h *host.Host) error { _, err := o.Do(ctx, h); return err })
		p.good = slices.DeleteFunc(p.good, func(id string) bool { return !slices.Contains(p.ids(), id) })
	}
	p.check(ids, precious, pruned)
}

func (p *past) reversed() []string {
	out := slices.Clone(p.good)
	slices.Reverse(out)
	return out
}

func (p *past) check(before, precious []string, pruned bool) {
	now := p.ids()
	for _, id := range before {
		if kept := slices.Contains(now, id); !kept && (!pruned || slices.Contains(precious, id)) {
			p.t.Errorf("%s is gone", id)
		}
	}
	if live := strings.TrimPrefix(p.link(), "releases/"); live != "absent" && !slices.Contains(now, live) {
		p.t.Errorf("current leads to %s, of %q", live, now)
	}
	all, err := List{Root: p.root}.Do(p.t.Context(), p.h)
	if err != nil || len(all) != len(now) {
		p.t.Errorf("the list is %+v of %q: %v", all, now, err)
	}
	for _, rel := range all {
		if rel.Good != slices.Contains(p.good, rel.ID) {
			p.t.Errorf("%s is good: %v", rel.ID, rel.Good)
		}
		if b, err := os.ReadFile(filepath.Join(p.root, "releases", rel.ID, "a")); string(b) != "1" {
			p.t.Errorf("%s is not whole: %v", rel.ID, err)
		}
	}
	if p.t.Failed() {
		p.t.Fatalf("after\n%s", strings.Join(p.said, "\n"))
	}
}

// Whatever the sequence of installs, switches, acceptances, prunes, undos and kills: what serves and what to go back to
// are never deleted, no half release is found, and the list agrees with the disk.
func TestNothingPreciousIsDeleted(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			p := &past{site: newSite(t), r: rand.New(rand.NewPCG(seed, 1))}
			for range 60 {
				p.step()
			}
		})
	}
}

func TestPrune(t *testing.T) {
	s := newSite(t)
	outside := filepath.Join(s.h.Project, "precious")
	s.must(os.MkdirAll(outside, 0o755))
	s.must(os.WriteFile(filepath.Join(outside, "data"), []byte("x"), 0o644))
	a := s.folder("1", map[string]string{"a": "1234"})
	for range 3 {
		i := Install{Root: s.root, Artifact: a, Shared: []string{"var"}, Key: s.key()}
		_, err := i.Do(t.Context(), s.h)
		s.must(err)
	}
	s.must(os.WriteFile(filepath.Join(s.root, "shared", "var", "data"), []byte("x"), 0o644))
	s.must(os.Symlink(outside, filepath.Join(s.root, "releases", "000001", "out")))
	s.must(os.Symlink(outside, filepath.Join(s.root, "releases", ".old-000009"))) // not what a prune leaves
	s.must(os.MkdirAll(filepath.Join(s.root, "releases", ".new-r.1", "x"), 0o755))
	s.must(os.MkdirAll(filepath.Join(s.root, "releases", "mine"), 0o755))
	s.activate("000003", nil)
	p := Prune{Root: s.root, Keep: 1}
	if lines, err := p.Difference(t.Context(), hosttest.Frozen(t, s.h)); err != nil || strings.Join(lines, ", ") != "delete release 000001 (1), delete release 000002 (1)" {
		t.Errorf("foreseen: %q, %v", lines, err)
	}
	done, err := p.Do(t.Context(), s.h)
	if err != nil || !slices.Equal(done.Deleted, []string{"000001", "000002"}) || done.Freed != 8 {
		t.Errorf("%+v, %v", done, err)
	}
	for _, name := range []string{filepath.Join(outside, "data"), filepath.Join(s.root, "shared", "var", "data"), filepath.Join(s.root, "releases", "mine"), filepath.Join(s.root, "releases", "000003", "a")} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(s.root, "releases"))
	if err != nil || len(entries) != 2 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// current may have been switched without the service: the release that a process runs from stays.
func TestPruneKeepsWhatRuns(t *testing.T) {
	s := live(t)
	s.activate("000002", nil)
	done, err := Prune{Root: s.root, Keep: 1}.Do(t.Context(), s.h)
	if err != nil || len(done.Deleted) != 0 {
		t.Errorf("deleted %q, %v", done.Deleted, err)
	}
	s.must(driver.Stop(t.Context(), s.h, s.root, s.runs()))
	units := func() int {
		names, _ := filepath.Glob(filepath.Join(s.root, ".runner", "services", "*.json"))
		return len(names)
	}
	if units() != 1 {
		t.Errorf("%d units", units())
	}
	done, err = Prune{Root: s.root, Keep: 1}.Do(t.Context(), s.h)
	if err != nil || !slices.Equal(done.Deleted, []string{"000001"}) || units() != 0 {
		t.Errorf("deleted %q, %d units left, %v", done.Deleted, units(), err)
	}
}

// A hand-made link by an absolute path says as well what serves.
func TestPruneKnowsWhatServes(t *testing.T) {
	s := linked(t)
	link := filepath.Join(s.root, "current")
	s.must(os.Remove(link))
	s.must(os.Symlink(filepath.Join(s.root, "releases", "000001"), link))
	done, err := Prune{Root: s.root, Keep: 1}.Do(t.Context(), s.h)
	if err != nil || !slices.Equal(done.Deleted, []string{"000002"}) {
		t.Errorf("%+v, %v", done, err)
	}
	s.must(os.Remove(link))
	s.must(os.Symlink("/srv/by-hand", link))
	_, err = Prune{Root: s.root, Keep: 1}.Do(t.Context(), s.h)
	fails(t, err, "cannot prune "+s.root+": "+link+" leads to /srv/by-hand, which is no release of this root", "remove the link")
}

func TestPruneCheck(t *testing.T) {
	for want, p := range map[string]Prune{"keep: want 1 or more, got 0": {}, "keep_failed: want 0 or more, got -1": {Keep: 1, KeepFailed: -1}} {
		if err := p.Check(); err == nil || err.Error() != want {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// A reader that looks all the time sees one of the two releases, whole.
func TestSwitchesWithoutAGap(t *testing.T) {
	s := linked(t)
	r := at(s.h, s.root)
	var reader sync.WaitGroup
	over := make(chan struct{})
	seen, problems := map[string]int{}, []error(nil)
	reader.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			b, err := os.ReadFile(filepath.Join(s.root, "current", "bin", "app"))
			problems = append(problems, err)
			seen[string(b)]++
		}
	})
	const switches = 10_000
	for i := range switches {
		s.must(r.link([]string{"000001", "000002"}[i%2]))
	}
	close(over)
	reader.Wait()
	if err := errors.Join(problems...); err != nil || seen["1.0.0"] == 0 || seen["2.0.0"] == 0 || len(seen) != 2 {
		t.Errorf("in %d switches a reader saw %v: %v", switches, seen, err)
	}
	t.Logf("%d switches, %d looks", switches, len(problems))
}
