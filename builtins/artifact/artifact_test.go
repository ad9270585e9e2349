package artifact

import (
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
)

func tree(t *testing.T) string {
	dir := t.TempDir()
	for name, text := range map[string]string{"bin/app": "program", "etc/app.conf": "port = 1\n", "z": ""} {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	must(t, os.Chmod(filepath.Join(dir, "bin/app"), 0o755))
	must(t, os.Symlink("../etc/app.conf", filepath.Join(dir, "bin/conf")))
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func digest(t *testing.T, f host.FS, dir string) string {
	t.Helper()
	d, _, err := Digest(f, dir)
	must(t, err)
	return d
}

// backwards lists directories in another order than the disk's.
type backwards struct{ host.OS }

func (b backwards) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := b.OS.ReadDir(name)
	slices.Reverse(entries)
	return entries, err
}

func TestDigestOfFolder(t *testing.T) {
	one, two := tree(t), tree(t)
	before := digest(t, host.OS{}, one)
	if d := digest(t, host.OS{}, two); d != before {
		t.Errorf("two folders with the same content have %s and %s", before, d)
	}
	if d := digest(t, backwards{}, one); d != before {
		t.Error("the order of the directory counts")
	}
	changes := map[string]struct {
		do     func(dir string) error
		counts bool
	}{
		"time":      {func(d string) error { return os.Chtimes(d+"/z", time.Unix(1, 0), time.Unix(1, 0)) }, false},
		"group bit": {func(d string) error { return os.Chmod(d+"/z", 0o664) }, false},
		"program":   {func(d string) error { return os.Chmod(d+"/z", 0o755) }, true},
		"content":   {func(d string) error { return os.WriteFile(d+"/z", []byte("x"), 0o644) }, true},
		"name":      {func(d string) error { return os.Rename(d+"/z", d+"/y") }, true},
		"folder":    {func(d string) error { return os.Mkdir(d+"/empty", 0o755) }, true},
		"link": {func(d string) error {
			os.Remove(d + "/bin/conf")
			return os.Symlink("app", d+"/bin/conf")
		}, true},
		"link to file": {func(d string) error {
			os.Remove(d + "/bin/conf")
			return os.WriteFile(d+"/bin/conf", []byte("port = 1\n"), 0o644)
		}, true},
	}
	for name, c := range changes {
		dir := tree(t)
		must(t, c.do(dir))
		if d := digest(t, host.OS{}, dir); (d != before) != c.counts {
			t.Errorf("%s: changes the digest: %v", name, d != before)
		}
	}
}

func TestDigestOfFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(name, []byte("hello\n"), 0o600))
	d, size, err := Digest(host.OS{}, name)
	out, _ := exec.Command("sha256sum", name).Output()
	if sum, _, _ := strings.Cut(string(out), " "); d != "sha256:"+sum || size != 6 || err != nil {
		t.Errorf("%s, want %s, %d, %v", d, sum, size, err)
	}
}

func TestRefused(t *testing.T) {
	dir := tree(t)
	l, err := net.Listen("unix", filepath.Join(dir, "etc/sock"))
	must(t, err)
	defer l.Close()
	_, _, err = Digest(host.OS{}, dir)
	if err == nil || !strings.Contains(err.Error(), "etc/sock: it is a socket") {
		t.Errorf("socket: %v", err)
	}
	for _, target := range []string{"/etc/passwd", "../../x", "../etc/../../x", "conf/../.."} {
		dir := tree(t)
		must(t, os.Symlink(target, filepath.Join(dir, "bin/out")))
		_, _, err := Digest(host.OS{}, dir)
		if err == nil || !strings.Contains(err.Error(), "bin/out: it is a link to "+target) {
			t.Errorf("%s: %v", target, err)
		}
		if err := Copy(t.Context(), host.OS{}, dir, filepath.Join(t.TempDir(), "to")); err == nil {
			t.Errorf("%s is copied", target)
		}
	}
}

// A ".." behind a name is resolved where the name leads, which may be higher than where it stands.
func TestLinkThatClimbs(t *testing.T) {
	dir := tree(t)
	must(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o755))
	must(t, os.Symlink("../..", filepath.Join(dir, "a/b/up")))
	if _, _, err := Digest(host.OS{}, dir); err != nil {
		t.Errorf("a link to the folder itself: %v", err)
	}
	must(t, os.Symlink("up/../..", filepath.Join(dir, "a/b/climb")))
	if _, _, err := Digest(host.OS{}, dir); err == nil {
		t.Error("a link that climbs out through another is taken")
	}
}

func TestCopyKeepsDigest(t *testing.T) {
	dir, to := tree(t), filepath.Join(t.TempDir(), "to")
	must(t, Copy(t.Context(), host.OS{}, dir, to))
	if a, b := digest(t, host.OS{}, dir), digest(t, host.OS{}, to); a != b {
		t.Errorf("%s became %s", a, b)
	}
	if err := Copy(t.Context(), host.OS{}, dir, to); err == nil {
		t.Error("a copy over something is no error")
	}
}
