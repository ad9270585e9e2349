package reconcile

import (
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/compose/shape"
)

// What crashes again and again is between two starts most of the time, and engines give it no other name then.
func crashLoopIsReplaced(l *lab) {
	always := func(s *shape.Set) { s.Containers[0].Host.RestartPolicy.Name = "always" }
	if _, err := l.up(l.Context(), l.set(map[string]string{"web": "exit 3"}, always), before); err == nil {
		l.Fatal("what crashes is ready")
	}
	was, err := Observe(l.Context(), l.site.Engine, l.project)
	l.must(err)
	old := l.world()
	if _, err := l.up(l.Context(), l.set(map[string]string{"web": "serve"}), key); err != nil {
		l.Fatal(err)
	}
	if r, err := l.site.Return(l.Context(), was.Set, key); err != nil || r.Already {
		l.Fatalf("%+v, %v", r, err)
	}
	if now := l.world(); strings.Count(now, "web-1") != strings.Count(old, "web-1") || strings.Contains(now, "left behind") {
		l.Errorf("was\n%s\nis\n%s", old, now)
	}
}

func TestACrashLoopIsReplaced(t *testing.T) { crashLoopIsReplaced(inMemory(t)) }
