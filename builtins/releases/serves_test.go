package releases

import (
	"os"
	"path/filepath"
	"testing"
)

func TestServes(t *testing.T) {
	s := newSite(t)
	a := s.app("1.0.0")
	conf := filepath.Join(s.h.Project, "app.conf")
	s.must(os.WriteFile(conf, []byte("a = 1\n"), 0o644))
	serves := func(q Serves, want bool) {
		t.Helper()
		q.Root = s.root
		if got, err := q.Do(t.Context(), s.h); got != want || err != nil {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
	serves(Serves{Artifact: a}, false)
	rel, err := Install{Root: s.root, Artifact: a, Config: "app.conf", Key: s.key()}.Do(t.Context(), s.h)
	s.must(err)
	serves(Serves{Artifact: a, Config: "app.conf"}, false)
	s.activate(rel.ID, nil)
	serves(Serves{Artifact: a, Config: "app.conf"}, true)
	serves(Serves{Artifact: a}, false)
	serves(Serves{Artifact: s.app("2.0.0"), Config: "app.conf"}, false)
	s.must(os.WriteFile(conf, []byte("a = 2\n"), 0o644))
	serves(Serves{Artifact: a, Config: "app.conf"}, false)
	if _, err := (Serves{Root: s.root, Artifact: a, Config: "gone.conf"}).Do(t.Context(), s.h); err == nil {
		t.Error("a configuration that is missing is no error")
	}
}
