package releases

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/layout"
)

// The configuration of an environment is installed beside the artifact, whose digest stays what it was.
func TestInstallAConfig(t *testing.T) {
	s := newSite(t)
	a := s.folder("1", map[string]string{"a": "1"})
	config := filepath.Join(s.h.Project, "config", "prod.config")
	s.must(os.MkdirAll(filepath.Dir(config), 0o755))
	s.must(os.WriteFile(config, []byte("port"), 0o640))
	rel, err := Install{Root: s.root, Artifact: a, Config: "config/prod.config", Key: "r/1"}.Do(t.Context(), s.h)
	s.must(err)
	want, _, err := artifact.File(s.h.Files, config)
	if rel.Config != want || rel.Digest != a.Digest || err != nil {
		t.Errorf("installed %+v, want the configuration %s, %v", rel, want, err)
	}
	info, err := os.Stat(filepath.Join(s.root, "releases/000001/.runner-config/prod.config"))
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	read, m, err := at(s.h, s.root).ReadFiles("000001")
	if err != nil || read.Config != want || len(m.Files) != 3 || m.Files[2].SHA256 != want {
		t.Errorf("the manifest is %+v, %v", m, err)
	}
	if plain := s.install(a); plain.Config != "" {
		t.Errorf("without one: %q", plain.Config)
	}
	for name, want := range map[string]string{"config/none": "config: cannot install config/none: it does not exist", "config": "config: cannot install config: it is a directory"} {
		_, err := Install{Root: s.root, Artifact: a, Config: name, Key: "r/9"}.Do(t.Context(), s.h)
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestInstallKeepsItsNames(t *testing.T) {
	for _, name := range []string{layout.ManifestName, layout.ConfigDir + "/x"} {
		s := newSite(t)
		_, err := Install{Root: s.root, Artifact: s.folder("1", map[string]string{name: "1"}), Key: "r/1"}.Do(t.Context(), s.h)
		fails(t, err, "cannot install app into "+s.root+": the artifact holds "+strings.TrimSuffix(name, "/x")+", which is a name that runner keeps", "")
		if _, err := os.Stat(filepath.Join(s.root, "releases/000001")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("installed: %v", err)
		}
	}
}
