package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Three accounts that no machine knows. The first two share a group.
const (
	ana, ben, eve = 70001, 70002, 70003
	deployers     = 70100
)

// turns is a root that a group deploys to, as runner setup makes it, and a project of each user.
type turns struct {
	t         *testing.T
	dir, root string
	self      string
	mask      string // the umask of both
}

func newTurns(t *testing.T) *turns {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root can be two users")
	}
	dir, err := os.MkdirTemp("", "turns")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &turns{t: t, dir: dir, root: dir + "/root", self: dir + "/runner", mask: "077"}
	s.must(os.Chmod(dir, 0o755))
	self, err := os.Executable()
	s.must(err)
	b, err := os.ReadFile(self)
	s.must(err)
	s.must(os.WriteFile(s.self, b, 0o755))
	for name, mode := range map[string]fs.FileMode{"": 0o775, "releases": 0o775, "backups": 0o775, ".runner": 0o771, "shared": 0o775} {
		name = filepath.Join(s.root, name)
		s.must(os.MkdirAll(name, 0o755))
		s.must(os.Chown(name, 0, deployers))
		s.must(os.Chmod(name, mode|fs.ModeSetgid))
	}
	for _, uid := range []int{ana, ben, eve} {
		home := s.home(uid)
		for name, text := range map[string]string{"environments.star": turnsEnvironments, "go.star": turnsScript, "app/bin/app": "#!/bin/sh\n", "app/lib/deep/x": "x"} {
			name = filepath.Join(home, name)
			s.must(os.MkdirAll(filepath.Dir(name), 0o755))
			s.must(os.WriteFile(name, []byte(strings.ReplaceAll(text, "ROOT", s.root)), 0o755))
		}
		s.must(filepath.WalkDir(home, func(name string, _ fs.DirEntry, err error) error {
			s.must(err)
			return os.Chown(name, uid, uid)
		}))
	}
	return s
}

const turnsEnvironments = `production = environment(app = "app", target = host(root = "ROOT"), build = command(["true"], output = "app"))
`

const turnsScript = `def main(environment, then = ""):
    lease(environment)
    t = environment.target
    new = releases.install(t.root, build.command(environment.build.argv, output = "app", version = "1.0.0"))
    releases.activate(t.root, new.id)
    print("serves", new.id)
    if then == "hang":
        health.wait(probe("http://127.0.0.1:1/health", within = "60s"))
    if then == "sleep":
        shell.run(["sh", "-c", "echo >ready; exec sleep 60"])
    if then == "fail":
        fail("as asked")
    releases.accept(t.root)
    commit("done")
    backups.create(t.root)
    releases.prune(t.root, keep = 1, keep_failed = 0)
    backups.prune(t.root, keep = 1)
`

func (s *turns) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *turns) home(uid int) string { return fmt.Sprintf("%s/%d", s.dir, uid) }

// command is runner as a user.
func (s *turns) command(uid int, args ...string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", append([]string{"-c", "umask " + s.mask + `; exec "$@"`, "sh", s.self}, args...)...)
	cmd.Dir = s.home(uid)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + cmd.Dir, asRunner + "=1"}
	groups := []uint32{deployers}
	if uid == eve {
		groups = nil
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid), Groups: groups}}
	return cmd
}

func (s *turns) runs(want, uid int, args ...string) string {
	s.t.Helper()
	cmd := s.command(uid, args...)
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != want {
		s.t.Fatalf("%d: %v: exit %d, want %d\n%s", uid, args, got, want, out)
	}
	return string(out)
}

// begin starts a run that switches and then stays.
func (s *turns) begin(uid int, then string) *exec.Cmd {
	s.t.Helper()
	cmd := s.command(uid, "go.star", "production", then)
	out, err := cmd.StderrPipe()
	s.must(err)
	s.must(cmd.Start())
	s.t.Cleanup(func() { cmd.Process.Kill() })
	read := make([]byte, 4096)
	var said bytes.Buffer
	last := map[string]string{"hang": "health.wait", "sleep": "shell.run"}[then]
	for !strings.Contains(said.String(), last) {
		n, err := out.Read(read)
		if said.Write(read[:n]); err != nil {
			s.t.Fatalf("%v\n%s", err, said.String())
		}
	}
	go io.Copy(io.Discard, out)
	return cmd
}

// appears waits for a file.
func (s *turns) appears(name string) {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(name); err == nil {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s does not appear", name)
		}
	}
}

func (s *turns) serves(id string) {
	s.t.Helper()
	if link, err := os.Readlink(s.root + "/current"); err != nil || link != "releases/"+id {
		s.t.Fatalf("current leads to %q (%v), want %s", link, err, id)
	}
}

// Two users of a group deploy to one root in turn: each goes on with what the other has left, and prunes it.
func TestTwoUsersInTurn(t *testing.T) {
	s := newTurns(t)
	s.runs(0, ana, "go.star", "production")
	s.serves("000001")
	s.runs(0, ben, "go.star", "production")
	s.serves("000002")
	if left, err := os.ReadDir(s.root + "/backups"); err != nil || len(left) != 1 {
		t.Errorf("ben has not pruned the backup of ana: %v (%v)", left, err)
	}
	s.runs(10, ana, "go.star", "production", "fail")
	s.serves("000002")
	s.runs(0, ana, "go.star", "production")
	s.serves("000004")
	if left, err := os.ReadDir(s.root + "/releases"); err != nil || len(left) > 2 {
		t.Errorf("ana has not pruned the releases of ben: %v (%v)", left, err)
	}
	s.runs(0, ana, "hold", "production", "a look")
	s.runs(18, ben, "go.star", "production")
	s.runs(0, ben, "unhold", "production")
	if out := s.runs(1, eve, "go.star", "production"); !strings.Contains(out, "permission denied") {
		t.Errorf("who is not in the group:\n%s", out)
	}
	s.runs(0, ben, "go.star", "production")
}

// A run of ana that is killed is taken back by ben, and one that waits for it does not mind whose it was.
func TestTwoUsersRecover(t *testing.T) {
	s := newTurns(t)
	s.mask = "022"
	s.runs(0, ben, "go.star", "production")
	dying := s.begin(ana, "hang")
	waits := make(chan error, 2)
	for n, uid := range []int{ben, ana} {
		cmd := s.command(uid, "go.star", "production", "--wait")
		go func() {
			out, err := cmd.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w\n%s", err, out)
			}
			waits <- err
		}()
		s.appears(fmt.Sprintf("%s/.runner/queue/%09d", s.root, n+1))
	}
	s.must(dying.Process.Kill())
	dying.Wait()
	for range 2 {
		if err := <-waits; err != nil {
			t.Errorf("a run that waited: %v", err)
		}
	}
	s.serves("000004")
	for _, pattern := range []string{"lease", "runs/*.jsonl", "sequence.lock"} {
		names, _ := filepath.Glob(s.root + "/.runner/" + pattern)
		if len(names) == 0 {
			t.Errorf("there is no %s", pattern)
		}
		for _, name := range names {
			if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o060 != 0o060 || info.Mode().Perm()&0o002 != 0 {
				t.Errorf("%s is %v (%v)", name, info.Mode(), err)
			}
		}
	}
}

// What a dead run has left running as its user is that user's to end: nobody else goes on beside it.
func TestTwoUsersChildren(t *testing.T) {
	s := newTurns(t)
	s.runs(0, ben, "go.star", "production")
	dying := s.begin(ana, "sleep")
	s.appears(s.home(ana) + "/ready")
	s.must(dying.Process.Kill())
	dying.Wait()
	if out := s.runs(1, ben, "go.star", "production"); !strings.Contains(out, "operation not permitted") {
		t.Errorf("the child is not spoken of:\n%s", out)
	}
	s.serves("000002")
	s.runs(0, ana, "go.star", "production")
	s.serves("000003")
}

// A project in a folder that a group shares keeps what it remembers of runs to whoever ran them.
func TestSharedProject(t *testing.T) {
	s := newTurns(t)
	s.must(os.Chown(s.home(ana), ana, deployers))
	s.must(os.Chmod(s.home(ana), fs.ModeSetgid|0o775))
	s.runs(0, ana, "go.star", "production")
	seen := 0
	s.must(filepath.WalkDir(s.home(ana)+"/.runner", func(name string, e fs.DirEntry, err error) error {
		s.must(err)
		info, err := e.Info()
		s.must(err)
		if rel, _ := filepath.Rel(s.home(ana), name); rel == ".runner" || strings.HasPrefix(rel, ".runner/runs") {
			if seen++; info.Mode().Perm()&0o070 != 0 {
				t.Errorf("%s is %v", name, info.Mode())
			}
		}
		return nil
	}))
	if seen < 3 {
		t.Errorf("only %d names were looked at", seen)
	}
}
