package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// ballast is how much the releases of these tests weigh: some fifteen of them fill the disk.
const ballast = 400_000

// heavySite is a site on a small disk of its own, whose releases weigh.
func heavySite(t *testing.T, versions ...string) (faultSite, disk) {
	t.Helper()
	s := bareSite(t)
	s.write("environments.star", strings.NewReplacer("ballast = 0", fmt.Sprint("ballast = ", ballast), "health = ", "keep = 2, health = ").Replace(s.read("environments.star")))
	d := mount(t, s.root())
	for _, v := range versions {
		s.must(0, s.to("production", v)...)
		s.wants(v)
	}
	return s, d
}

// fillAllBut leaves some room: enough for the undo log, too little for a copy of a release.
func (d disk) fillAllBut(bytes int64) {
	d.t.Helper()
	d.fill()
	filler := filepath.Join(d.dir, "filler")
	info, err := os.Stat(filler)
	if err == nil {
		err = os.Truncate(filler, info.Size()-bytes)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// stopsShort runs the real program, and wants it to fail before anything is changed.
func (s faultSite) stopsShort(pid int, version string, args []string, texts ...string) {
	s.t.Helper()
	if code := s.process(0, args...); code != 1 {
		s.t.Fatalf("%v: exit %d, want 1\n%s", args, code, s.out.String())
	}
	s.says(append(texts, "nothing is changed")...)
	s.untouched(pid, version)
	s.leavesNoHalf()
}

// leavesNoHalf wants nothing half made among the backups.
func (s faultSite) leavesNoHalf() {
	s.t.Helper()
	if _, halves := s.kept(); len(halves) > 0 && halves[0] != "filler" {
		s.t.Fatalf("left behind: %v\n%s", halves, s.out.String())
	}
}

func TestDiskFullWithinABackup(t *testing.T) {
	s, d := heavySite(t, "1.0.0", "1.1.0")
	pid := s.service()
	d.fillAllBut(ballast)
	s.stopsShort(pid, "1.1.0", s.to("production", "1.2.0"), "backups.create: cannot back up what serves "+s.root()+": it needs 1.4MiB", "and the disk has ")
	d.free()
	s.fails(1, meets("backups/.new-", d.fill), s.to("production", "1.2.0"),
		"cannot back up what serves "+s.root(), "no space left on device", "nothing is changed")
	s.untouched(pid, "1.1.0")
	s.leavesNoHalf()
	d.free()
	s.goesOn("1.2.0")
	s.whole()
}

func TestDiskFullWithinARollback(t *testing.T) {
	const full = "no space left on device"
	s, d := heavySite(t, "1.0.0", "1.1.0")
	pid := s.service()
	back := []string{"rollback.star", "production", "--output", "plain"}
	d.fillAllBut(ballast)
	s.stopsShort(pid, "1.1.0", back, "cannot back up what serves "+s.root()+": it needs 1.4MiB")
	d.free()
	s.fails(1, meets("backups/.new-", d.fill), back, "cannot back up what serves ", full, "nothing is changed")
	s.untouched(pid, "1.1.0")
	d.free()
	if err := os.RemoveAll(s.root("releases", "000001")); err != nil { // it comes out of its backup, or not at all
		t.Fatal(err)
	}
	s.fails(1, meets("releases/.new-", d.fill), back, "cannot install mcpd into "+s.root(), full, "nothing is changed")
	s.untouched(pid, "1.1.0")
	d.free()
	s.fails(10, stops(d.fill), back, full, "every change is taken back", "1.1.0 serves and is healthy")
	s.wants("1.1.0")
	d.free()
	s.must(0, back...)
	s.wants("1.0.0")
	s.goesOn("1.2.0")
	s.whole()
}

// The backups lie on a disk of their own, which can only be read, or has no room.
func TestBackupsThatCannotBeWritten(t *testing.T) {
	s := servedSite(t)
	pid := s.service()
	d := mount(t, s.root("backups"))
	writable := d.readOnly()
	s.stopsShort(pid, "1.0.0", s.to("production", "1.1.0"), "cannot back up what serves "+s.root(), "read-only file system")
	writable()
	d.fill()
	s.stopsShort(pid, "1.0.0", s.to("production", "1.1.0"), "cannot back up what serves "+s.root())
	d.free()
	s.goesOn("1.1.0")
	writable = d.readOnly()
	pid = s.service()
	s.stopsShort(pid, "1.1.0", []string{"rollback.star", "production"}, "cannot back up what serves "+s.root(), "read-only file system")
	writable()
	s.must(0, "rollback.star", "production")
	s.wants("1.0.0")
}

// What does not fit is found out before the lease is taken, by the measure of what was built.
func TestAReleaseThatDoesNotFit(t *testing.T) {
	s := bareSite(t)
	if err := os.MkdirAll(s.root(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", s.root(), "tmpfs", 0, "size=80m,mode=755"); err != nil {
		t.Fatalf("cannot mount a tmpfs: %v; this test needs root, or a user namespace", err)
	}
	t.Cleanup(func() { unix.Unmount(s.root(), unix.MNT_DETACH) })
	text := s.read("environments.star")
	s.write("environments.star", strings.Replace(text, "ballast = 9000000", "ballast = 45000000", 1))
	s.write("VERSION", "1.0.0\n")
	s.must(0, "deploy.star", "production")
	pid := s.service()
	s.write("VERSION", "1.1.0\n")
	s.fails(18, nil, []string{"deploy.star", "big"}, "big is not ready to be deployed to:", "2 copies of mcpd do not fit under "+s.root()+": it needs ", "nothing is changed")
	s.untouched(pid, "1.0.0")
	if strings.Contains(s.out.String(), "lease of ") {
		t.Errorf("the lease was taken\n%s", s.out.String())
	}
	s.fails(0, nil, []string{"deploy.star", "production"})
	s.wants("1.1.0")
}

// A person who may not write to the root is told so before anything is built, and root is told whose the project is.
func TestPreflightOfUsers(t *testing.T) {
	s := servedSite(t)
	pid := s.service()
	s.write("VERSION", "1.1.0\n")
	s.asNobody(18, []string{"deploy.star", "production"}, "production is not ready to be deployed to:", "nobody cannot write there: permission denied", "nothing is changed")
	if strings.Contains(s.out.String(), "build.command") {
		t.Errorf("it was built\n%s", s.out.String())
	}
	s.fails(18, nil, []string{"deploy.star", "production"}, "production is not ready to be deployed to:",
		"the project belongs to nobody, and this is root: what root builds there is root's; deploy as nobody", "nothing is changed")
	s.untouched(pid, "1.0.0")
	s.fails(0, nil, []string{"deploy.star", "production", "--force", "in a hurry"}, "forced (in a hurry): the project belongs to nobody")
	s.wants("1.1.0")
}
