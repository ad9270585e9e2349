package releases

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
)

type waits struct {
	op.Silent
	what  string
	heard func()
}

func (w *waits) Waiting(what string, _ time.Time) {
	w.what = what
	w.heard()
}

func TestActivate(t *testing.T) {
	s := live(t)
	old := s.runs().Proc
	a := Activate{Root: s.root, ID: "000002", Service: s.service(), Key: s.key()}
	if lines, err := a.Difference(t.Context(), s.h); err != nil || len(lines) != 1 || lines[0] != "current: 000001 (1.0.0) -> 000002 (2.0.0)" {
		t.Errorf("difference %q, %v", lines, err)
	}
	done, err := a.Do(t.Context(), s.h)
	if err != nil || done != (Activated{ID: "000002", Version: "2.0.0", From: "000001"}) || done.LiveVersion() != "2.0.0" {
		t.Errorf("%+v, %v", done, err)
	}
	s.answers("2.0.0")
	s.points("releases/000002")
	if s.h.Procs.Alive(old) {
		t.Error("the old process runs")
	}
	evidence, err := a.Evidence(t.Context(), s.h)
	if err != nil || len(evidence) != 2 || !strings.HasSuffix(evidence[0].Text, "of release 000002 runs") || !strings.Contains(evidence[1].Text, "mcpd 2.0.0 listens") {
		t.Errorf("evidence %+v, %v", evidence, err)
	}
	s.must(driver.Stop(t.Context(), s.h, s.root, s.runs()))
	if evidence, err := a.Evidence(t.Context(), s.h); err != nil || !strings.HasSuffix(evidence[0].Text, "of release 000002 has ended") {
		t.Errorf("evidence %+v, %v", evidence, err)
	}
}

// What can be found out is found out before anything is stopped: the old process goes on.
func TestActivateThatCannot(t *testing.T) {
	s := live(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	defer l.Close()
	other := s.service()
	other.Port = l.Addr().(*net.TCPAddr).Port
	program := func(argv ...string) driver.Process {
		p := s.service()
		p.Argv = argv
		return p
	}
	s.must(os.WriteFile(filepath.Join(s.root, "releases/000002/bin/plain"), nil, 0o644))
	for _, c := range []struct {
		name       string
		a          Activate
		want, hint string
	}{
		{"no such release", Activate{ID: "000009", Service: s.service()}, "cannot switch " + s.root + ": cannot read release 000009: it does not exist", ""},
		{"no number", Activate{ID: "../x", Service: s.service()}, `cannot switch ` + s.root + `: cannot read release "../x"`, ""},
		{"no program", Activate{ID: "000002", Service: program("bin/nothing")}, "cannot start bin/nothing: the release has no such file", "see what is in " + s.root + "/releases/000002"},
		{"not executable", Activate{ID: "000002", Service: program("bin/plain")}, "cannot start bin/plain: it is not executable", ""},
		{"a directory", Activate{ID: "000002", Service: program("./bin")}, "cannot start ./bin: it is not executable", ""},
		{"port taken", Activate{ID: "000002", Service: other},
			fmt.Sprintf("cannot switch to 000002: port %d is taken by process %d", other.Port, os.Getpid()), "what serves was not touched"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, pid := s.world(), s.runs().Proc
			c.a.Root, c.a.Key = s.root, s.key()
			inverse, err := c.a.Inverse(t.Context(), s.h)
			s.must(err)
			_, err = c.a.Do(t.Context(), s.h)
			fails(t, err, c.want, c.hint)
			done, err := inverse.(Reactivate).Do(t.Context(), s.h)
			if err != nil || !done.Already || done.Live != "1.0.0" {
				t.Errorf("undo: %+v, %v", done, err)
			}
			if s.world() != before || s.runs().Proc != pid {
				t.Errorf("it was\n%s as %v\nis\n%s as %v", before, pid, s.world(), s.runs().Proc)
			}
		})
	}
}

func TestCurrentIsADirectory(t *testing.T) {
	s := newSite(t)
	s.install(s.folder("1", map[string]string{"a": "1"}))
	s.must(os.Mkdir(filepath.Join(s.root, "current"), 0o755))
	a := Activate{Root: s.root, ID: "000001", Key: "r/1"}
	_, inverse := a.Inverse(t.Context(), s.h)
	_, do := a.Do(t.Context(), s.h)
	_, undo := Reactivate{Root: s.root, Of: "r/1"}.Do(t.Context(), s.h)
	_, accept := Accept{Root: s.root}.Do(t.Context(), s.h)
	_, prune := Prune{Root: s.root, Keep: 1}.Do(t.Context(), s.h)
	for _, err := range []error{inverse, do, undo, accept, errors.Unwrap(prune)} {
		fails(t, err, "cannot read "+s.root+"/current: it is no link, and only a link says which release serves", "move it away")
	}
}

// A plan knows a release that is there; one that its own run would install is not known yet.
func TestActivateForeseen(t *testing.T) {
	s := linked(t)
	frozen := hosttest.Frozen(t, s.h)
	if done, err := (Activate{Root: s.root, ID: "000002"}).Preview(t.Context(), frozen); err != nil || done.Version != "2.0.0" || done.From != "000001" {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err := (Activate{Root: s.root, ID: "000003"}).Preview(t.Context(), frozen); !errors.Is(err, op.ErrUnknown) {
		t.Errorf("not installed yet: %v", err)
	}
}

// switched is a live site on which an op has switched to 000002, and that op's inverse.
func switched(t testing.TB) (*site, Reactivate) {
	s := live(t)
	a := Activate{Root: s.root, ID: "000002", Service: s.service(), Key: s.key()}
	inverse, err := a.Inverse(t.Context(), s.h)
	s.must(err)
	_, err = a.Do(t.Context(), s.h)
	s.must(err)
	s.answers("2.0.0")
	return s, inverse.(Reactivate)
}

// What a person has made since is not touched, and named.
func TestReactivateConflicts(t *testing.T) {
	relink := func(target string) func(*site) {
		return func(s *site) {
			s.must(os.Remove(filepath.Join(s.root, "current")))
			s.must(os.Symlink(target, filepath.Join(s.root, "current")))
		}
	}
	for _, c := range []struct {
		name              string
		repair            func(*site)
		what, want, found string
	}{
		{"the link leads to another release", func(s *site) { s.install(s.app("1.0.0")); relink("releases/000003")(s) }, "current", "000001", "000003"},
		{"the link leads out", relink("/srv/by-hand"), "current", "000001", "/srv/by-hand"},
		{"another process", func(s *site) { s.activate("000002", s.service()) }, "the service of ", "release 000001", "of release 000002"},
		{"something else on the port", func(s *site) {
			s.must(driver.Stop(s.t.Context(), s.h, s.root, s.runs()))
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
			s.must(err)
			s.t.Cleanup(func() { l.Close() })
		}, "port ", "free for release 000001", fmt.Sprintf("is taken by process %d", os.Getpid())},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, inverse := switched(t)
			c.repair(s)
			link, runs := s.link(), s.runs()
			_, err := inverse.Do(t.Context(), s.h)
			var conflict *op.Conflict
			if !errors.As(err, &conflict) || !strings.Contains(conflict.What, c.what) || conflict.Wanted != c.want || !strings.Contains(conflict.Found, c.found) {
				t.Errorf("%v", err)
			}
			if s.link() != link || s.runs().Proc != runs.Proc || s.runs().Alive != runs.Alive {
				t.Errorf("touched: %s, %+v", s.link(), s.runs())
			}
		})
	}
}

// A run was killed, or told to stop, while the old process was ending: that it still runs is no reason to leave it at that.
func TestReactivateWhileTheOldOneEnds(t *testing.T) {
	s := drains(t)
	a := Activate{Root: s.root, ID: "000002", Service: s.service(), Key: s.key()}
	inverse, err := a.Inverse(t.Context(), s.h)
	s.must(err)
	m := hosttest.NewMortal(s.h)
	dying := &waits{heard: func() { time.AfterFunc(30*time.Millisecond, m.Die) }}
	if _, err := a.Do(op.WithSpeaker(t.Context(), dying), m.Host()); !errors.Is(err, hosttest.ErrDead) {
		t.Fatal(err)
	}
	if !s.runs().Alive || s.runs().Serves() {
		t.Fatalf("the old process is to be ending: %+v", s.runs())
	}
	if done, err := inverse.(Reactivate).Do(t.Context(), s.h); done.Already || err != nil {
		t.Errorf("%+v, %v", done, err)
	}
	s.answers("1.0.0")
	s.points("releases/000001")
}

// The unit that starts the old release again lies with the target, with its secrets.
func TestReactivateFirst(t *testing.T) {
	s := first(t)
	a := Activate{Root: s.root, ID: "000001", Service: s.service(), Key: "r/1"}
	inverse, err := a.Inverse(t.Context(), s.h)
	s.must(err)
	_, err = a.Do(t.Context(), s.h)
	s.must(err)
	s.answers("1.0.0")
	if done, err := inverse.(Reactivate).Do(t.Context(), s.h); done.Already || done.Live != op.Nothing || err != nil {
		t.Errorf("%+v, %v", done, err)
	}
	s.points("absent")
	s.answers("nothing")
}

// Told to stop before it began, an activation does nothing, with a service or without.
func TestActivateThatIsTooLate(t *testing.T) {
	s := live(t)
	before, runs := s.world(), s.runs()
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	for _, a := range []Activate{{Service: s.service()}, {}} {
		a.Root, a.ID, a.Key = s.root, "000002", s.key()
		if _, err := a.Do(ctx, s.h); !errors.Is(err, stop) {
			t.Errorf("%v", err)
		}
	}
	if s.world() != before || s.runs().Proc != runs.Proc || !s.runs().Serves() {
		t.Errorf("it was\n%s\nis\n%s, %+v", before, s.world(), s.runs())
	}
}
