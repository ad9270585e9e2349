//go:build labs

package reconcile

import (
	"archive/tar"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
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

func TestLabACrashLoopIsReplaced(t *testing.T) { crashLoopIsReplaced(newLab(t)) }

func TestLabTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		line   string
		change func(*shape.Set)
		want   string
	}{
		"health":     {"serve", checked("web", "/app", "fail"), "web:1 is unhealthy: its check says: the database is away"},
		"exits":      {"exit 3", func(*shape.Set) {}, "web:1 exited with 3"},
		"crash loop": {"exit 3", func(s *shape.Set) { s.Containers[0].Host.RestartPolicy.Name = "always" }, "does not stay up: it was restarted 2 times, and last exited with 3"},
		"memory": {"eat", func(s *shape.Set) {
			s.Containers[0].Host.Memory = 32 << 20
			checked("web", "/app", "fail")(s)
			s.Containers[0].Config.Healthcheck.Interval = time.Minute
		}, "ran out of memory, of which it may have 32 MiB, and was killed by SIGKILL"},
		"port": {"serve", func(s *shape.Set) {
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			_, port, _ := net.SplitHostPort(l.Addr().String())
			s.Containers[0].Host.PortBindings = network.PortMap{network.MustParsePort("80/tcp"): {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: port}}}
			s.Containers[0].Config.ExposedPorts = network.PortSet{network.MustParsePort("80/tcp"): {}}
		}, "a process on the engine's host, and no container, listens there"},
		"no program": {"serve", func(s *shape.Set) { s.Containers[0].Config.Cmd = []string{"/none"} }, "cannot start web:1: its image has no program /none"},
		"image":      {"serve", func(s *shape.Set) { s.Containers[0].Image = "none.invalid/x:1" }, "the engine has no image none.invalid/x:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			_, err := l.up(t.Context(), l.set(map[string]string{"web": c.line}, c.change), key)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %s", err, c.want)
			}
			all, err := Evidence(t.Context(), l.site.Engine, l.project)
			if err != nil || name != "image" && len(all) == 0 {
				t.Errorf("evidence: %+v, %v", all, err)
			}
		})
	}
}

// A file that is laid into a container has the owner that it is said to have, whomever the engine's machine knows.
func TestLabFilesHaveTheirOwners(t *testing.T) {
	for user, owner := range map[string]int{"65000:65000": 65000, "65000": 0} {
		l := newLab(t)
		file := shape.File{Path: "/run/secrets/password", Data: []byte("x"), Mode: 0o400, UID: owner, GID: owner}
		_, err := l.up(t.Context(), l.set(map[string]string{"web": "serve"}, func(s *shape.Set) {
			s.Containers[0].Config.User, s.Containers[0].Files = user, []shape.File{file}
		}), key)
		if err != nil {
			t.Fatal(err)
		}
		seen, err := Observe(t.Context(), l.site.Engine, l.project)
		l.must(err)
		got, err := l.site.Engine.CopyFromContainer(t.Context(), seen.Set.Containers[0].ID, client.CopyFromContainerOptions{SourcePath: file.Path})
		l.must(err)
		head, err := tar.NewReader(got.Content).Next()
		if err != nil || head.Uid != owner || head.Gid != owner || head.Mode&0o777 != 0o400 {
			t.Errorf("as %s: %+v, %v", user, head, err)
		}
		got.Content.Close()
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

// heard is the output of an op.
type heard struct {
	op.Silent
	mu    sync.Mutex
	lines []string
}

func (h *heard) Output(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, line)
}

// What a check says that goes on failing is told while it is waited for, once.
func TestLabACheckThatFailsIsTold(t *testing.T) {
	l := newLab(t)
	h := &heard{}
	want := l.set(map[string]string{"web": "serve"}, checked("web", "/app", "fail"), func(s *shape.Set) {
		s.Containers[0].Config.Healthcheck.Interval = time.Minute
	})
	p, err := l.plan(want, key)
	l.must(err)
	if _, err := l.site.Act(op.WithSpeaker(t.Context(), h), p, 7*time.Second); err == nil {
		t.Fatal("it is healthy")
	}
	if got := strings.Count(strings.Join(h.lines, "\n"), "web:1: its check fails: the database is away"); got != 1 {
		t.Errorf("told %d times: %q", got, h.lines)
	}
}
