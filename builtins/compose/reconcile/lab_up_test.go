//go:build labs

package reconcile

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
)

func TestLabUpAgainChangeAndBack(t *testing.T) {
	l := newLab(t)
	old := l.set(map[string]string{"db": "serve", "web": "serve", "job": "exit 0"}, checked("db", "/app", "exit", "0"), needs("web", "db", healthy), needs("web", "job", completed))
	if _, err := l.up(t.Context(), old, key); err != nil {
		t.Fatal(err)
	}
	p, err := l.plan(old, key)
	l.must(err)
	if p.String() != "" {
		t.Errorf("the same again is\n%s", p)
	}
	before := l.world()
	seen, err := Observe(t.Context(), l.site.Engine, l.project)
	l.must(err)
	again := op.Key("20260126t130000-test/3")
	new := l.set(map[string]string{"db": "serve", "web": "serve 9s", "job": "exit 0"}, checked("db", "/app", "exit", "0"), needs("web", "db", healthy), needs("web", "job", completed))
	p, err = l.plan(new, again)
	l.must(err)
	if want := "~ web:1 is replaced, the old one stops first: command [\"/app\",\"serve\"] -> [\"/app\",\"serve\",\"9s\"]"; !strings.Contains(p.String(), "web:1 is replaced") || strings.Count(p.String(), "~") != 1 {
		t.Errorf("the plan is\n%s\nwant %s", p, want)
	}
	if _, err := l.site.Act(t.Context(), p, time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, already := range []bool{false, true} {
		r, err := l.site.Return(t.Context(), seen.Set, again)
		if err != nil || r.Already != already {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	if after := l.world(); after != before {
		t.Errorf("was\n%s\nis\n%s", before, after)
	}
}

var errStop = errors.New("stop here, as if killed")

// mortal stops at the n-th durable step.
type mortal struct {
	op.Silent
	n  int
	at string
}

func (m *mortal) Half(step string) error {
	if m.n--; m.n == 0 {
		m.at = step
	}
	if m.n <= 0 {
		return errStop
	}
	return nil
}

func TestLabEveryHalfIsTakenBack(t *testing.T) {
	for name, change := range map[string]func(*shape.Set){
		"stop first":  func(*shape.Set) {},
		"start first": startFirst,
		"a network changes": func(s *shape.Set) {
			s.Networks[0].Create.Labels[labelHash] = "n2"
			s.Networks[0].Create.Internal = true
		},
		"fewer replicas": func(s *shape.Set) { s.Containers = s.Containers[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			old := map[string]string{"db": "serve", "web": "serve"}
			if _, err := l.up(t.Context(), l.set(old), "20260126t110000-test/1"); err != nil {
				t.Fatal(err)
			}
			seen, err := Observe(t.Context(), l.site.Engine, l.project)
			l.must(err)
			before := l.world()
			for n := 1; ; n++ {
				m := &mortal{n: n}
				_, err := l.up(op.WithSpeaker(t.Context(), m), l.set(map[string]string{"db": "serve", "web": "serve 1s", "extra": "serve"}, change), key)
				if m.at != "" && !errors.Is(err, errStop) {
					t.Fatalf("stopped at %q: %v", m.at, err)
				}
				if _, err := l.site.Return(context.WithoutCancel(t.Context()), seen.Set, key); err != nil {
					t.Fatalf("stopped at %q: %v", m.at, err)
				}
				if after := l.world(); after != before {
					t.Fatalf("stopped at %q: was\n%s\nis\n%s", m.at, before, after)
				}
				if m.at == "" {
					t.Logf("%d steps", n-1)
					break
				}
			}
		})
	}
}

func TestLabTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		line   string
		change func(*shape.Set)
		want   string
	}{
		"health":     {"serve", checked("web", "/app", "fail"), "web:1 is unhealthy: its check says: the database is away"},
		"exits":      {"exit 3", func(*shape.Set) {}, "web:1 exited with 3"},
		"crash loop": {"exit 3", func(s *shape.Set) { s.Containers[0].Host.RestartPolicy.Name = "always" }, "does not stay up: it was restarted 2 times, and last exited with 3"},
		"memory":     {"eat", func(s *shape.Set) { s.Containers[0].Host.Memory = 32 << 20 }, "ran out of memory"},
		"image":      {"serve", func(s *shape.Set) { s.Containers[0].Image = "none.invalid/x:1" }, "the engine has no image none.invalid/x:1"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			_, err := l.up(t.Context(), l.set(map[string]string{"web": c.line}, c.change), key)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %s", err, c.want)
			}
			all, err := Evidence(t.Context(), l.site.Engine, l.project)
			if err != nil || name != "image" && len(all) != 1 {
				t.Errorf("evidence: %+v, %v", all, err)
			}
		})
	}
}

// TestLabFigures prints what seven services cost; it holds them to nothing.
func TestLabFigures(t *testing.T) {
	l := newLab(t)
	services := map[string]string{}
	for _, name := range strings.Fields("a b c d e f g") {
		services[name] = "serve"
	}
	begun := time.Now()
	if _, err := l.up(t.Context(), l.set(services), key); err != nil {
		t.Fatal(err)
	}
	t.Logf("first up of 7: %s", time.Since(begun))
	begun = time.Now()
	for range 10 {
		if p, err := l.plan(l.set(services), key); err != nil || p.String() != "" {
			t.Fatalf("%s, %v", p, err)
		}
	}
	t.Logf("observe and plan of 7, nothing to do: %s", time.Since(begun)/10)
	services["a"] = "serve 5s"
	begun = time.Now()
	if _, err := l.up(t.Context(), l.set(services, checked("a", "/app", "exit", "0")), "20260126t130000-test/2"); err != nil {
		t.Fatal(err)
	}
	t.Logf("one of 7 changes, until healthy: %s", time.Since(begun))
}
