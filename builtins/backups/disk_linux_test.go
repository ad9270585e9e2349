package backups

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk of 8 MB that others fill while the backup is written: it fails, and what serves is as it was.
func TestDiskFillsUp(t *testing.T) {
	for form, archive := range forms {
		s := served(t)
		dir := s.path("backups")
		s.must(os.Mkdir(dir, 0o755))
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m,mode=755"); err != nil {
			t.Skipf("cannot mount a tmpfs: %v; this test needs root, or a user namespace", err)
		}
		t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
		want := tree(t, s.path("releases"))
		filler := filepath.Join(dir, "filler")
		h := *s.h
		h.Files = &once{FS: s.h.Files, at: "content", do: func() {
			f, err := os.Create(filler)
			s.must(err)
			defer f.Close()
			for err == nil {
				_, err = f.Write(make([]byte, 4096))
			}
		}}
		c := Create{Root: s.root, Kind: "backup", Archive: archive, Key: "r/1"}
		if _, err := c.Do(t.Context(), &h); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: on a full disk: %v", form, err)
		}
		same(t, form+": the releases", tree(t, s.path("releases")), want)
		_, err := c.Do(t.Context(), s.h)
		fails(t, err, "it needs 1.", "free space on the disk that holds "+s.root)
		s.must(os.Remove(filler))
		if entries, _ := os.ReadDir(dir); len(entries) != 0 {
			t.Errorf("%s: left: %v", form, entries)
		}
		b, err := c.Do(t.Context(), s.h)
		s.must(err)
		s.must(s.verify(b.Name))
	}
}
