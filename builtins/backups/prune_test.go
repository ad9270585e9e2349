package backups

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/builtins/releases"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
)

func TestRetire(t *testing.T) {
	for _, c := range []struct {
		all, live        string // digests, the oldest first; a capital one is good
		keep, keepFailed int
		want             string
	}{
		{"", "", 1, 0, ""},
		{"A B C D", "c", 2, 0, "A B"},
		{"A B C", "c", 1, 0, "A"},     // the one to go back to stays
		{"A C C C", "c", 1, 0, "C C"}, // however old
		{"A C C C", "c", 2, 0, "C"},
		{"A C C C", "", 1, 0, "A C C"},
		{"a b c", "c", 5, 2, "a"}, // those that were not good have a cap of their own
		{"A a B b", "b", 1, 0, "a b"},
		{"A a b c", "c", 1, 0, "a b c"},
	} {
		var all []layout.Backup
		for i, d := range strings.Fields(c.all) {
			all = append(all, layout.Backup{ID: fmt.Sprint(i), Sequence: i, Digest: strings.ToLower(d), Release: d, Good: d < "a"})
		}
		var live *layout.Release
		if c.live != "" {
			live = &layout.Release{Digest: c.live}
		}
		var got []string
		for _, b := range retire(all, live, c.keep, c.keepFailed) {
			got = append(got, b.Release)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s with %s live, keeping %d and %d: deletes %q, want %q", c.all, c.live, c.keep, c.keepFailed, got, c.want)
		}
	}
}

func TestPrune(t *testing.T) {
	s := served(t)
	outside := t.TempDir()
	s.write(filepath.Join(outside, "data"), "x", 0o644)
	for n := range 3 {
		s.create(Create{Archive: n == 1})
	}
	s.must(os.Symlink(outside, s.path("backups", first, "out")))
	for _, name := range []string{".old-x", ".new-r.1"} {
		s.must(os.Symlink(outside, s.path("backups", name)))
	}
	s.must(os.MkdirAll(s.path("backups/.new-r.2/content"), 0o755))
	s.must(os.MkdirAll(s.path("backups/.old-y/content"), 0o755))
	p := Prune{Root: s.root, Keep: 1}
	want := "delete the backup " + first + " (1.0.0), delete the backup " + first + "-2 (1.0.0)"
	if lines, err := p.Difference(t.Context(), hosttest.Frozen(t, s.h)); err != nil || strings.Join(lines, ", ") != want {
		t.Errorf("foreseen: %q, %v", lines, err)
	}
	done, err := p.Do(t.Context(), s.h)
	if err != nil || !slices.Equal(done.Deleted, []string{first, first + "-2"}) || done.Freed == 0 {
		t.Errorf("%+v, %v", done, err)
	}
	entries, _ := os.ReadDir(s.path("backups"))
	if len(entries) != 1 || entries[0].Name() != first+"-3" {
		t.Errorf("left: %v", entries)
	}
	for _, name := range []string{filepath.Join(outside, "data"), s.path("shared/data/db")} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}

// past is a root under random operations, and what must be true of it as the test remembers it.
type past struct {
	*site
	r    *rand.Rand
	said []string
}

// mortal performs an op, killed at a random call one time in three.
func (p *past) mortal(what string, do func(*host.Host) error) {
	p.t.Helper()
	m := hosttest.NewMortal(p.h)
	if p.r.IntN(3) == 0 {
		m.DieTornAt(1 + p.r.IntN(60))
	}
	err := do(m.Host())
	p.said = append(p.said, what+" "+m.Where())
	if m.Where() == "" {
		p.must(err)
	}
}

func (p *past) step() {
	ctx := p.t.Context()
	before, err := List{Root: p.root}.Do(ctx, p.h)
	p.must(err)
	precious, pruned := p.precious(), false
	switch n := p.r.IntN(7); n {
	case 0: // a deployment that fails or not
		p.activate(p.install(releases.Install{Artifact: p.folder(fmt.Sprint(p.r.IntN(3)))}).ID)
		if p.r.IntN(2) == 0 {
			p.accept()
		}
	case 1: // a rollback to what a backup holds
		if b, err := (Find{Root: p.root}).Do(ctx, p.h); err == nil {
			i := releases.Install{Root: p.root, Artifact: b.Artifact, Key: p.key()}
			p.mortal("restore", func(h *host.Host) error { _, err := i.Do(ctx, h); return err })
			rel, err := i.Do(ctx, p.h)
			p.must(err)
			p.activate(rel.ID)
		}
	case 2: // every release but the live one goes
		_, err := releases.Prune{Root: p.root, Keep: 1}.Do(ctx, p.h)
		p.must(err)
	case 3, 4, 5:
		c := Create{Root: p.root, Kind: []string{"backup", "pre-rollback"}[p.r.IntN(2)], Archive: p.r.IntN(2) == 0, Key: p.key()}
		p.mortal("create", func(h *host.Host) error { _, err := c.Do(ctx, h); return err })
	case 6:
		pruned = true
		o := Prune{Root: p.root, Keep: 1 + p.r.IntN(2), KeepFailed: p.r.IntN(2)}
		p.mortal(o.Summary(), func(h *host.Host) error { _, err := o.Do(ctx, h); return err })
	}
	p.check(before, precious, pruned)
}

// precious are the last good backup and the one to go back to.
func (p *past) precious() (out []string) {
	all, err := List{Root: p.root}.Do(p.t.Context(), p.h)
	p.must(err)
	for _, b := range slices.Backward(all) {
		if b.Good {
			out = append(out, b.Name)
			break
		}
	}
	if b, err := (Find{Root: p.root}).Do(p.t.Context(), p.h); err == nil {
		out = append(out, b.Name)
	}
	return out
}

func (p *past) check(before []Backup, precious []string, pruned bool) {
	now := p.list()
	for _, b := range before {
		if !slices.Contains(now, b.Name) && (!pruned || slices.Contains(precious, b.Name)) {
			p.t.Errorf("%s is gone", b.Name)
		}
	}
	for _, name := range now {
		if err := p.verify(name); err != nil {
			p.t.Error(err)
		}
	}
	if p.t.Failed() {
		p.t.Fatalf("after\n%s", strings.Join(p.said, "\n"))
	}
}

// Whatever the sequence of deployments, rollbacks, backups, prunes and kills: the last good backup and the one to go
// back to are never deleted, and every backup that is found is whole.
func TestNothingPreciousIsDeleted(t *testing.T) {
	for seed := range uint64(16) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			p := &past{site: newSite(t), r: rand.New(rand.NewPCG(seed, 1))}
			for range 40 {
				p.step()
			}
			p.activate(p.install(releases.Install{Artifact: p.folder("last")}).ID)
			b, err := Create{Root: p.root, Kind: "backup", Key: p.key()}.Do(t.Context(), p.h)
			p.must(errors.Join(err, p.verify(b.Name)))
			_, err = Prune{Root: p.root, Keep: 1}.Do(t.Context(), p.h)
			p.must(err)
			for _, name := range []string{".old-*", ".new-*"} {
				if left, _ := filepath.Glob(p.path("backups", name)); len(left) > 0 {
					t.Errorf("left: %q", left)
				}
			}
		})
	}
}
