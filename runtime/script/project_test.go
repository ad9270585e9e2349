package script

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/op"
)

func TestFindProject(t *testing.T) {
	dir := t.TempDir()
	var none *NoProject
	if _, err := FindProject(dir, stock, library); !errors.As(err, &none) || op.HintOf(err) != `run "runner init"` {
		t.Errorf("without a project: %v", err)
	}
	write(t, dir, environmentsFile, stockEnvironments)
	write(t, dir, "sub/deploy.star", "def main():\n    pass\n")
	write(t, dir, ".hidden/x.star", "")
	p, err := FindProject(filepath.Join(dir, "sub"), stock, library)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Dir != dir {
		t.Errorf("the project is %s", p.Dir)
	}
	for name, want := range map[string]string{
		"deploy.star": "sub/deploy.star", "./deploy.star": "sub/deploy.star", "../sub/deploy.star": "sub/deploy.star",
		"sub/deploy.star": "sub/deploy.star", filepath.Join(dir, "sub/deploy.star"): "sub/deploy.star",
		"rollback.star": "rollback.star", "@std/verify.star": "@std/verify.star", "../environments.star": environmentsFile,
	} {
		if got, err := p.canonical(name); err != nil || got != want {
			t.Errorf("%s is %s, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{
		"deplo.star": "did you mean sub/deploy.star?", "rolback.star": "did you mean rollback.star?", "../../x.star": "outside the project",
		"/etc/passwd": "outside the project", "sub": "cannot find the script sub", "@std/x": "cannot find",
	} {
		var u *Usage
		if _, err := p.canonical(name); !errors.As(err, &u) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if got := p.List(); slices.Contains(got, ".hidden/x.star") || !slices.Contains(got, "@std/verify.star") || !slices.Contains(got, "rollback.star") {
		t.Errorf("the scripts are %v", got)
	}
}

func TestStandardScriptsLieUnderTheProject(t *testing.T) {
	o := open(t, nil, "rollback.star")
	if err := o.main(t.Context(), "production", "b1"); err != nil {
		t.Fatal(Diagnose(err))
	}
	if o.lines[0] != "rollback.star:3:5 print production b1" {
		t.Errorf("got %v", o.lines)
	}
	builtIn := map[string]bool{}
	for _, f := range o.Files() {
		builtIn[f.Name] = f.BuiltIn
		if len(f.Digest) != 64 || f.Source == "" {
			t.Errorf("%+v", f)
		}
	}
	if !builtIn["rollback.star"] || builtIn[environmentsFile] || len(builtIn) != 2 {
		t.Errorf("built in: %v", builtIn)
	}
	mine := open(t, map[string]string{"rollback.star": "def main():\n    print(\"mine\")\n"}, "rollback.star")
	if err := mine.main(t.Context()); err != nil || mine.lines[0] != "rollback.star:2:5 print mine" {
		t.Errorf("the project's own: %v, %v", mine.lines, err)
	}
}

func TestLoadsAreRelative(t *testing.T) {
	o := open(t, map[string]string{
		"deploy.star":  "load(\"lib/a.star\", \"a\")\nload(\"@std/relative.star\", \"check\")\nload(\"rollback.star\", go_back = \"main\")\n\ndef main():\n    print(a, check, go_back)\n",
		"lib/a.star":   "load(\"b.star\", \"b\")\nload(\"../environments.star\", \"production\")\na = b + production.name\n",
		"lib/b.star":   "b = \"b\"\n",
		"lib/c/x.star": "",
		"verify.star":  "fail(\"the library means its own\")\n",
	}, "deploy.star")
	if err := o.main(t.Context()); err != nil {
		t.Fatal(Diagnose(err))
	}
	if want := "deploy.star:6:5 print bproduction <function verify> <function main>"; o.lines[0] != want {
		t.Errorf("got %v", o.lines)
	}
}

func TestEnvironmentsKnowTheirNames(t *testing.T) {
	o := open(t, map[string]string{
		environmentsFile: "def _make(app):\n    return environment(app = app, target = host(root = \"/\"))\n\n_base = _make(\"x\")\na = _make(\"1\")\nb = _make(\"2\")\nother = 3\n",
		"deploy.star":    "def main(environment = \"\"):\n    print(environment)\n",
	}, "deploy.star")
	if err := o.main(t.Context(), "b"); err != nil {
		t.Fatal(Diagnose(err))
	}
	if !slices.Equal(o.Environments, []string{"a", "b"}) || !strings.Contains(o.lines[0], `name = "b", app = "2"`) {
		t.Errorf("got %v, %v", o.Environments, o.lines)
	}
}

func TestFolderInPlaceOfAFile(t *testing.T) {
	o := open(t, map[string]string{"deploy.star": "load(\"lib.star\", \"x\")\n", "lib.star/x": ""}, "deploy.star")
	if o.err == nil || !strings.Contains(Diagnose(o.err).Message, "cannot read lib.star: is a directory") {
		t.Errorf("got %v", o.err)
	}
}
