package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// A file of the folder comes before the one that lies under it; listings have both, but that of the folder itself.
func TestOver(t *testing.T) {
	dir := t.TempDir()
	files := Over{FS: OS{}, Dir: dir, Under: fstest.MapFS{
		"docker/a": {Data: []byte("under a")}, "docker/b": {Data: []byte("under b")}, "docker/sub/c": {Data: []byte("under c")}, "top": {Data: []byte("top")},
	}}
	names := func(name string) string {
		entries, err := files.ReadDir(filepath.Join(dir, name))
		if err != nil {
			return err.Error()
		}
		var out []string
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, e.Name()+" "+info.Mode().String())
		}
		return strings.Join(out, ", ")
	}
	text := func(name string) string {
		b, err := ReadFile(files, filepath.Join(dir, name), 100)
		if err != nil {
			return "no: " + err.Error()
		}
		return string(b)
	}
	if got := text("docker/a"); got != "under a" {
		t.Errorf("docker/a: %s", got)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "docker"), 0o755), os.WriteFile(filepath.Join(dir, "docker/a"), []byte("own a"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"docker/a": "own a", "docker/b": "under b", "docker/sub/c": "under c"} {
		if got := text(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"docker": "a -rw-------, b -rw-r--r--, sub drwxr-xr-x", "docker/sub": "c -rw-r--r--", ".": "docker drwxr-xr-x"} {
		if got := names(name); got != want {
			t.Errorf("%s lists %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"docker/none", "../docker/a", "docker/a/b"} {
		if info, err := files.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is %v", name, info)
		}
	}
	if _, err := files.Open(filepath.Join(dir, "docker/b"), os.O_RDWR, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("to be written: %v", err)
	}
}
