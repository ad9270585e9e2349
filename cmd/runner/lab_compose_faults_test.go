//go:build labs

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/erlmcp/runner/builtins/docker/dockertest"
)

// ownSite is a project on an engine of its own, which serves 1.0.0.
func ownSite(t *testing.T) (*composeSite, *dockertest.Engine) {
	t.Helper()
	engine := dockertest.Own(t)
	s := composeSiteAt(t, engine.Address)
	s.runs(0, s.deploy("1.0.0")...)
	return s, engine
}

// begun is a run that goes on in the background.
type begun struct {
	s   *site
	cmd *exec.Cmd
	in  *bufio.Reader
	out strings.Builder
}

func (s *site) begin(args ...string) *begun {
	s.t.Helper()
	b := &begun{s: s, cmd: s.command(args...)}
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	b.cmd.Stdout, b.cmd.Stderr, b.in = w, w, bufio.NewReader(r)
	if err := b.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	w.Close()
	s.t.Cleanup(func() { b.cmd.Process.Kill(); r.Close() })
	return b
}

// until reads what the run says until a line has a text.
func (b *begun) until(text string) {
	b.s.t.Helper()
	for {
		line, err := b.in.ReadString('\n')
		b.out.WriteString(line)
		if strings.Contains(line, text) {
			return
		}
		if err != nil {
			b.s.t.Fatalf("not said: %s\n%s", text, b.out.String())
		}
	}
}

// ends waits for the end of the run, and wants one of the exit codes.
func (b *begun) ends(codes ...int) {
	b.s.t.Helper()
	io.Copy(&b.out, b.in)
	b.cmd.Wait()
	b.s.out.Reset()
	b.s.out.WriteString(b.out.String())
	if got := b.cmd.ProcessState.ExitCode(); !slices.Contains(codes, got) {
		b.s.t.Fatalf("exit %d, want one of %v\n%s", got, codes, b.out.String())
	}
}

// TestLabComposePage does what the page for users of Compose says.
func TestLabComposePage(t *testing.T) {
	s := newComposeSite(t)
	pageIn(t, "builtins/compose/README.md", 18, t.TempDir(), nil, "8080", fmt.Sprint(s.port), "mcpd-page", s.name, "FROM scratch\n", "FROM scratch\nLABEL "+dockertest.Label+"="+s.name+"\n")
}

// TestLabComposeEngineIsKilled: the engine ends with all its containers in the middle of a deployment. The run says what it
// cannot do; when the engine is back, another machine brings back what served.
func TestLabComposeEngineIsKilled(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"waits for web:1 to stop", "compose.up -> ok"} {
		s, engine := ownSite(t)
		s.configure("20s")
		before := s.state()
		run := s.begin(s.deploy("bad")...)
		run.until(at)
		engine.Kill()
		run.ends(11)
		s.says("cannot reach the Docker engine at "+engine.Address, "the next run on this target goes on with the undo")
		engine.Restart()
		s.connect(engine.Address)
		s.otherMachine()
		s.runs(0, "recover.star", "staging")
		if after := s.state(); after != before {
			t.Errorf("killed when it %s: not as it was\n%s\nnow\n%s\n%s", at, before, after, s.out.String())
		}
		s.wants("1.0.0")
		s.runs(0, s.deploy("1.1.0")...)
		s.wants("1.1.0")
	}
}

// TestLabComposeEngineIsBack: the engine ends with all its containers while a deployment waits for health, and is back before
// that is given up: the run itself brings back what served, without another one.
func TestLabComposeEngineIsBack(t *testing.T) {
	t.Parallel()
	s, engine := ownSite(t)
	s.configure("40s")
	before := s.state()
	run := s.begin(s.deploy("bad")...)
	run.until("compose.up -> ok")
	engine.Restart()
	run.ends(10)
	s.connect(engine.Address)
	if after := s.state(); after != before {
		t.Errorf("not as it was\n%s\nnow\n%s\n%s", before, after, s.out.String())
	}
	s.wants("1.0.0")
	s.runs(0, s.deploy("1.1.0")...)
	s.wants("1.1.0")
}

// TestLabComposeEngineIsDown: without an engine nothing is done, and that is said once; what it had is started again by the
// next deployment.
func TestLabComposeEngineIsDown(t *testing.T) {
	t.Parallel()
	s, engine := ownSite(t)
	engine.Kill()
	for _, args := range [][]string{s.deploy("1.0.0"), {"rollback.star", "staging"}, {"doctor", "staging"}, {"runs", "staging"}} {
		if code := s.process(0, args...); code != 1 && code != 18 {
			t.Errorf("%v: exit %d\n%s", args, code, s.out.String())
		}
		if text := s.out.String(); strings.Count(text, "cannot reach the Docker engine") == 0 || strings.Contains(text, "goroutine") || strings.Count(text, "\n") > 24 {
			t.Errorf("%v:\n%s", args, text)
		}
	}
	engine.Restart()
	s.connect(engine.Address)
	s.runs(0, s.deploy("1.0.0")...)
	s.wants("1.0.0")
}

// TestLabComposeDiskFull: an engine whose disk is full, less and less so. Whatever the run came to, the old version serves
// when there is room again, without a person.
func TestLabComposeDiskFull(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=160m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	t.Setenv("TMPDIR", disk)
	s, engine := ownSite(t)
	s.keepOff(t)
	before := s.state()
	filler := filepath.Join(engine.Data, "filler")
	done := false
	for _, left := range []int64{0, 64 << 10, 512 << 10, 4 << 20, 8 << 20, 12 << 20, 20 << 20} {
		leave(t, filler, left)
		code := s.process(0, s.deploy("1.1.0")...)
		said := s.out.String()
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		if code == 0 {
			done = true
			break
		}
		if !slices.Contains([]int{1, 10, 11, 18}, code) {
			t.Errorf("%d bytes left: exit %d\n%s", left, code, said)
		}
		s.runs(0, "recover.star", "staging")
		s.wants("1.0.0")
		if after := s.state(); after != before {
			t.Errorf("%d bytes left: not as it was\n%s\nnow\n%s\n%s", left, before, after, said)
		}
	}
	if !done {
		s.runs(0, s.deploy("1.1.0")...)
	}
	s.wants("1.1.0")
}

// keepOff has the project lie elsewhere than on the disk that fills up.
func (s *composeSite) keepOff(t *testing.T) {
	if strings.HasPrefix(s.dir, os.Getenv("TMPDIR")) {
		t.Fatalf("the project lies on the disk that is to be full: %s", s.dir)
	}
}

// leave makes a file that leaves some bytes of the disk that a file is on.
func leave(t *testing.T, name string, left int64) {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(name), &st); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err == nil {
		err = syscall.Fallocate(int(f.Fd()), 0, 0, max(1, int64(st.Bavail)*st.Bsize-left))
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestLabComposeTwoMachines: of two machines that deploy to one project at once, one waits for the other or is told so.
func TestLabComposeTwoMachines(t *testing.T) {
	t.Parallel()
	a := newComposeSite(t)
	a.runs(0, a.deploy("1.0.0")...)
	b := *a.site
	b.dir, b.home = t.TempDir(), t.TempDir()
	for _, name := range []string{"environments.star", "compose.yaml", "Dockerfile", "Worker", ".dockerignore", "recover.star", "worker"} {
		text, err := os.ReadFile(filepath.Join(a.dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(b.dir, name), text, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	other := &composeSite{site: &b, name: a.name, engine: a.engine}
	first := a.begin(a.deploy("1.1.0")...)
	first.until("is taken")
	other.runs(17, "recover.star", "staging")
	other.says("is held by run")
	second := other.begin(other.deploy("1.2.0", "--wait")...)
	first.ends(0)
	second.ends(0)
	other.wants("1.2.0")
	other.runs(0, "rollback.star", "staging")
	a.wants("1.1.0")
}

// TestLabComposeTwoProjects: what one project does is no matter of another's on the same engine.
func TestLabComposeTwoProjects(t *testing.T) {
	t.Parallel()
	var sites []*composeSite
	for range 2 {
		sites = append(sites, newComposeSite(t))
	}
	var all sync.WaitGroup
	for i, s := range sites {
		version := []string{"1.0.0", "1.1.0"}[i]
		args := s.deploy(version)
		all.Go(func() {
			if code := s.process(0, args...); code != 0 {
				t.Errorf("exit %d\n%s", code, s.out.String())
			}
		})
	}
	all.Wait()
	sites[0].wants("1.0.0")
	sites[1].wants("1.1.0")
	before := sites[1].ids()
	sites[0].runs(10, sites[0].deploy("bad")...)
	sites[0].wants("1.0.0")
	if after := sites[1].ids(); after != before {
		t.Errorf("the other project has changed:\n%s\n%s", before, after)
	}
}
