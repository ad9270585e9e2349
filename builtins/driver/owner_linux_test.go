package driver

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A service of another user is that user, and the folders that it writes to are theirs. Only root can test it.
func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		p := relxPlace(t, "")
		if _, err := relx(t).With(nil, "root").Unit(p.h, p.root, "000001", "r/1"); err == nil || !strings.Contains(err.Error(), "only root can") {
			t.Errorf("a user acts for root: %v", err)
		}
		return
	}
	p := relxPlace(t, "")
	for dir := p.root; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		p.must(os.Chmod(dir, 0o755))
	}
	u, err := relx(t).With(nil, "daemon").Unit(p.h, p.root, "000001", "r/1")
	p.must(err)
	r := p.startUnit(u)
	p.logs("up")
	info, err := os.Stat(filepath.Join("/proc", "self"))
	p.must(err)
	self := info.Sys().(*syscall.Stat_t).Uid
	info, err = os.Stat(filepath.Join("/proc", strconv.Itoa(r.Proc.PID)))
	p.must(err)
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid == self || uid == 0 {
		t.Errorf("the process is of user %d", uid)
	}
	info, err = os.Stat(filepath.Join(u.Home, ".erlang.cookie"))
	if p.must(err); info.Sys().(*syscall.Stat_t).Uid == 0 {
		t.Error("the cookie is root's, and the node cannot read it")
	}
	info, err = os.Stat(u.Private)
	if p.must(err); info.Sys().(*syscall.Stat_t).Uid == 0 {
		t.Errorf("%s is root's", u.Private)
	}
	p.must(Stop(t.Context(), p.h, p.root, r))
	if _, err := relx(t).With(nil, "no-such-user").Unit(p.h, p.root, "000001", "r/2"); err == nil || !strings.Contains(err.Error(), "there is no user no-such-user") {
		t.Errorf("a user who is not there: %v", err)
	}
}
