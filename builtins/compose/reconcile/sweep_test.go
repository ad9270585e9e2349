package reconcile

import (
	"slices"
	"testing"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/moby/moby/client"
)

// What a dead run has left half made goes, with the volumes that were made for it alone; what it put aside goes when
// another has its place; what a run has put aside that may still go back stays, and so does the last of its kind.
func TestSweep(t *testing.T) {
	l := inMemory(t)
	dead := func(run string) bool { return run == "20260126t120000-test" }
	l.must(l.upAt(t.Context(), l.site, l.set(map[string]string{"db": "serve", "web": "serve"}, cached("web"), startFirst), before))
	d := l.doomed(2, dockertest.Cut) // made, and started
	l.upAt(d.ctx, d.site, l.set(map[string]string{"db": "serve", "web": "serve 9s"}, cached("web"), startFirst), key)
	d.Settle()
	seen := l.swept(dead, "p-web-1.20260126t120000-test.7.new")
	if len(seen.Containers) != 2 || len(l.fake.volumes) != 2 {
		t.Fatalf("%s with %d volumes", l.world(), len(l.fake.volumes))
	}
	l.must(l.upAt(t.Context(), l.site, l.set(map[string]string{"db": "serve", "web": "serve 9s"}, cached("web")), key))
	l.swept(func(string) bool { return false })
	l.swept(dead, "p-web-1.20260126t120000-test.7")
	if len(l.fake.volumes) != 2 {
		t.Errorf("%d volumes", len(l.fake.volumes))
	}
	db := l.named("p-db-1")
	_, err := l.site.Engine.ContainerRename(t.Context(), db.id, client.ContainerRenameOptions{NewName: parkedName("p-db-1", key)})
	l.must(err)
	l.swept(dead)
}

// swept sweeps, and looks what went.
func (l *lab) swept(ended func(string) bool, want ...string) *Seen {
	l.Helper()
	seen, err := Observe(l.Context(), l.site.Engine, l.project)
	l.must(err)
	if got, err := Sweep(l.Context(), l.site.Engine, seen, func(a Aside) bool { return ended(a.Run) && seen.Replaced(a) }); err != nil || !slices.Equal(got, want) {
		l.Errorf("swept %q, %v, want %q", got, err, want)
	}
	seen, err = Observe(l.Context(), l.site.Engine, l.project)
	l.must(err)
	return seen
}

// A run finds what a dead one has left half made, and begins with that: it answers for its service.
func TestHalfMadeGoesFirst(t *testing.T) {
	l := inMemory(t)
	web := func(line string) shape.Set { return l.set(map[string]string{"web": line}, startFirst) }
	l.must(l.upAt(t.Context(), l.site, web("serve"), before))
	d := l.doomed(2, dockertest.Cut)
	l.upAt(d.ctx, d.site, web("serve 9s"), key)
	d.Settle()
	p, err := l.plan(web("serve"), "20260126t130000-test/1")
	l.must(err)
	if want := "- p-web-1.20260126t120000-test.7.new is removed: run 20260126t120000-test has left it half made\nstays: web:1\n"; p.String() != want {
		t.Errorf("%s, want\n%s", p, want)
	}
}
