package backups

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/releases"
	"github.com/erlmcp/runner/runtime/op"
)

func TestFind(t *testing.T) {
	s := newSite(t)
	find := func(name string) (Backup, error) { return Find{Root: s.root, Name: name}.Do(t.Context(), s.h) }
	wants := func(want string) {
		t.Helper()
		if b, err := find(""); b.Name != want {
			t.Errorf("found %q, want %q: %v", b.Name, want, err)
		}
	}
	_, err := find("")
	fails(t, err, "cannot find a backup of "+s.root+" to go back to: there are none", "a deployment makes one of what it replaces")
	_, err = find(first)
	fails(t, err, s.root+" has no backup "+first, "there are none")
	s.serve("1.0.0")
	s.create(Create{}) // of a release that is not accepted
	s.accept()
	s.create(Create{})
	_, err = find("")
	fails(t, err, "none of the 2 there is good and differs from what serves", "name one: "+first+"-2 (1.0.0), "+first+" (1.0.0, never accepted)")
	s.serve("2.0.0")
	wants(first + "-2")
	s.create(Create{Kind: "pre-rollback"}) // of 2.0.0, which was never accepted
	wants(first + "-2")
	s.accept()
	s.create(Create{})
	wants(first + "-2")
	s.activate("000001") // and the rollback of the rollback
	wants(first + "-3")
	// The same artifact with another configuration is another thing to go back to.
	s.write(filepath.Join(s.h.Project, "config/prod.config"), "changed", 0o644)
	s.activate(s.install(releases.Install{Artifact: s.folder("2.0.0"), Config: "config/prod.config"}).ID)
	wants(first + "-3")
	s.must(os.Remove(s.path("current")))
	wants(first + "-3")

	for _, name := range []string{first, first + "-3", "app-pre-rollback-20260126-120000"} {
		if b, err := find(name); b.Name != name || err != nil {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
	s.activate("000003") // a version has good backups and others, a release only its own
	s.create(Create{})
	for name, want := range map[string]string{"1.0.0": first + "-2", "000001": first + "-2", "2.0.0": first + "-3", "000002": first + "-3", "000003": first + "-4"} {
		if b, err := find(name); b.Name != want || err != nil {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
	_, err = Find{Root: s.root, Name: "2.0.1", Releases: true}.Do(t.Context(), s.h)
	fails(t, err, s.root+" has no release and no backup 2.0.1 (did you mean 2.0.0?)", "there are the releases 000003 (2.0.0, never accepted), 000002 (2.0.0), 000001 (1.0.0); the backups "+first+"-4 (2.0.0, never accepted), "+first+"-3 (2.0.0), ")
	_, err = find("app-bakcup-20260126-120000")
	fails(t, err, s.root+" has no backup app-bakcup-20260126-120000 (did you mean "+first+"?)", "there are: "+first+"-4 (2.0.0, never accepted), "+first+"-3 (2.0.0), app-pre-rollback-20260126-120000 (2.0.0, never accepted), ")
	for _, name := range []string{"..", "../backups/" + first, "/etc", s.path("backups", first), ".new-r.1", ".", "a\x00b"} {
		_, err := find(name)
		fails(t, err, "name: want the name of a backup", "")
		if name != "" {
			fails(t, s.verify(name), "name: want the name of a backup", "")
		}
	}
}

// What lies among the backups and is none of them is not followed, and does not stand in the way.
func TestAmongBackups(t *testing.T) {
	s := served(t)
	s.create(Create{})
	s.create(Create{})
	elsewhere := s.h.Project
	s.must(os.Rename(s.path("backups", first), filepath.Join(elsewhere, "b")))
	s.must(os.Symlink(filepath.Join(elsewhere, "b"), s.path("backups", first)))
	s.must(os.Mkdir(s.path("backups/mine"), 0o755))
	s.write(s.path("backups/mine.tar.zst"), "not an archive of ours", 0o644)
	b := s.create(Create{Archive: true})
	s.must(os.Truncate(b.Path, 100))
	s.write(s.path("backups/broken", ".runner-backup.json"), "{}", 0o644)
	heard := &said{}
	all, err := List{Root: s.root}.Do(op.WithSpeaker(t.Context(), heard), s.h)
	if err != nil || len(all) != 1 || all[0].Name != first+"-2" {
		t.Errorf("the list is %+v, %v", all, err)
	}
	if len(heard.lines) != 3 || !strings.Contains(strings.Join(heard.lines, "\n"), "left out: cannot read the backup "+s.path("backups/broken")+": its manifest is damaged") {
		t.Errorf("said %q", heard.lines)
	}
	_, err = Find{Root: s.root, Name: first}.Do(t.Context(), s.h)
	fails(t, err, "has no backup "+first, "there are: ")
	_, err = Find{Root: s.root, Name: "broken"}.Do(t.Context(), s.h)
	fails(t, err, "its manifest is damaged", "")
	fails(t, s.verify(b.Name), "cannot read the backup "+b.Path+": its end, which is its manifest, is missing", "")
	done, err := Prune{Root: s.root, Keep: 1}.Do(t.Context(), s.h)
	if err != nil || len(done.Deleted) != 0 {
		t.Errorf("pruned %+v, %v", done, err)
	}
	for _, name := range []string{first, "mine", "mine.tar.zst", "broken/.runner-backup.json"} {
		if _, err := os.Stat(s.path("backups", name)); err != nil {
			t.Error(err)
		}
	}
}
