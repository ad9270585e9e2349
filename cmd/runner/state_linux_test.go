package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mounted is a small file system of its own. It takes root, as the tests of a deployment to a host do.
func mounted(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("cannot mount a small file system: %v (run the tests as root)", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "full"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 512))
	}
}

func freeze(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

// A run without a journal would leave nobody anything to read: it does not begin.
func TestStateDirectoryThatTakesNothing(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*testing.T, *site, string){
		"full":      func(t *testing.T, _ *site, dir string) { fill(t, dir) },
		"read-only": func(t *testing.T, _ *site, dir string) { freeze(t, dir) },
		"read-only since": func(t *testing.T, s *site, dir string) {
			s.start("hold.star", "production", "--then", "true", "--state", dir).exits(0)
			freeze(t, dir)
		},
	} {
		s, dir := stopSite(t), mounted(t, "64k")
		spoil(t, s, dir)
		l := s.start("change.star", "production", "--then", "true", "--state", dir)
		l.exits(1)
		l.says("hint: --state DIR keeps it elsewhere")
		s.world("")
		t.Logf("%s: %s", name, strings.TrimSpace(l.out.String()))
	}
}

const loud = `
def main(environment):
    lease(environment)
    for _ in range(2000):
        print("all work and no play makes a full journal, and a full journal is no reason to stop")
    shell.run(["sh", "-c", "echo there >> world"], undo = ["true"])
    print("the last word")
`

func TestJournalThatFillsUp(t *testing.T) {
	t.Parallel()
	s, dir := stopSite(t), mounted(t, "64k")
	s.write("loud.star", loud)
	l := s.start("loud.star", "production", "--state", dir)
	l.exits(0)
	l.says("note: the journal of this run ends here: ")
	l.says("no space left on device")
	l.says("the last word")
	s.world("there")
	for _, args := range [][]string{{"runs", "--state", dir}, {"runs", "production"}, {"hold.star", "production", "--then", "true"}} {
		s.start(args...).exits(0)
	}
	runs, _ := filepath.Glob(filepath.Join(dir, "runs", "*.jsonl"))
	log := s.start("log", strings.TrimSuffix(filepath.Base(runs[0]), ".jsonl"), "--state", dir)
	log.exits(0)
	log.says("a full journal is no reason to stop")
	log.saysNot("the last word")
}

// What is left behind in the state directory does not change how the run ended.
func TestScratchThatStays(t *testing.T) {
	t.Parallel()
	s := stopSite(t)
	l := s.start("change.star", "production", "--then", "mount -t tmpfs none .runner/scratch/*")
	t.Cleanup(func() {
		dirs, _ := filepath.Glob(filepath.Join(s.dir, ".runner", "scratch", "*"))
		for _, dir := range dirs {
			syscall.Unmount(dir, syscall.MNT_DETACH)
		}
	})
	l.exits(0)
	l.says("note: cannot tidy up: ")
	s.world("there")
}
