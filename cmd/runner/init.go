//go:build !windows

package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// templates are what init writes, by what it has found, and what completion prints.
//
//go:embed templates/*
var templates embed.FS

// found is the application in a folder, as init recognises it.
type found struct {
	kind      string // a template: "go", "rebar3", "command"
	app       string
	goPackage string // "./cmd/erlmcp"
	health    string // the path that it answers on
	document  bool   // it answers with a health document
	tests     string // of rebar3: `"eunit", "ct"`
	ldflags   string // of Go: what stamps the version
	compose   string // the Compose file that lies beside
	manifests string // the folder of manifests that lies beside
	says      []string
}

const environments = "environments.star"

// initProject is "runner init [DIR]": it writes environments.star, and nothing else.
func (p *program) initProject(_ flags, args []string) (int, error) {
	if len(args) > 1 {
		return 0, &usage{"init wants at most one folder", "usage: runner init [DIR]"}
	}
	dir := p.dir
	if len(args) == 1 {
		dir = filepath.Join(p.dir, args[0])
		if filepath.IsAbs(args[0]) {
			dir = args[0]
		}
	}
	s, err := p.surround(dir, "")
	if err != nil {
		return 0, err
	}
	files := s.host.Files
	if info, err := files.Stat(dir); err != nil || !info.IsDir() {
		return 0, &usage{fmt.Sprintf("cannot find the folder %s", dir), "usage: runner init [DIR]"}
	}
	app, err := recognise(files, dir)
	if err != nil {
		return 0, err
	}
	text, err := app.environments()
	if err != nil {
		return 0, err
	}
	fresh, err := writeOnce(files, filepath.Join(dir, environments), text)
	if err != nil {
		return 0, err
	}
	return 0, p.introduce(app, args, fresh)
}

// introduce says what was found and what to do now.
func (p *program) introduce(app found, args []string, fresh bool) error {
	did, deploy, first := "wrote environments.star: dev lies in .runner/targets/dev and answers on port 8080", "runner deploy.star dev", ""
	switch {
	case app.kind == "command":
		first = "say in environments.star how it is built and run, then "
	case app.kind == "" && app.compose != "":
		did, deploy = "wrote environments.star: staging is the project of "+app.compose, "runner plan deploy.star staging"
	case app.kind == "":
		did, deploy = "wrote environments.star: production waits in comments", "runner plan deploy.star production"
		first = "say in environments.star which cluster, then "
	}
	if !fresh {
		did = "environments.star is there already, as init would write it"
	}
	next := "next: " + first
	if len(args) == 1 {
		next += "cd " + quoted(args[0]) + " && "
	}
	next += deploy
	_, err := fmt.Fprintln(p.stdout, strings.Join(append(app.says, did, next), "\n"))
	return err
}

// quoted is a word as a shell reads it.
func quoted(word string) string {
	if strings.ContainsAny(word, " \t\n'\"\\$`&;|<>()*?[]#~!{}") {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// environments is the file for the application.
func (f found) environments() ([]byte, error) {
	parts, production := []string{f.kind}, "production_k8s"
	if f.kind == "" {
		parts[0], production = "data", "production"
	}
	if f.compose != "" {
		parts = append(parts, "compose")
	}
	if f.manifests != "" {
		parts = append(parts, "cluster")
	}
	var text []byte
	for _, part := range parts {
		b, err := templates.ReadFile("templates/" + part + ".txt")
		if err != nil {
			return nil, err
		}
		text = append(text, b...)
	}
	within, accept := "30s", "accept = [], "
	if f.kind == "rebar3" {
		within = "60s"
	}
	if f.document {
		accept = ""
	}
	return []byte(strings.NewReplacer("{app}", f.app, "{ident}", strings.ToLower(notWord.ReplaceAllString(f.app, "_")),
		"{program}", "bin/"+f.app, "{package}", f.goPackage, "{tests}", f.tests, "{ldflags}", f.ldflags, "{health}", f.health, "{accept}", accept,
		"{within}", within, "{production}", production, "{manifests}", f.manifests, "{compose}", f.compose,
		"{label}", strings.ToLower(notLabel.ReplaceAllString(f.app, "-"))).Replace(string(text))), nil
}

// writeOnce writes a file that is not there yet, whole or not at all. The same one there is no error.
func writeOnce(files host.FS, name string, text []byte) (fresh bool, err error) {
	if _, err := files.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		there, err := host.ReadFile(files, name, 1<<20)
		if err == nil && bytes.Equal(there, text) {
			return false, nil
		}
		return false, &usage{fmt.Sprintf("cannot write %s: it is there already, and is never overwritten", name),
			"runner check looks for mistakes in it; move it away to have a new one"}
	}
	if err := host.WriteFile(files, name, text, 0o644); err != nil {
		return false, op.Hint(fmt.Errorf("cannot write %s: %w", name, err), "nothing was written")
	}
	return true, nil
}

var (
	erlangComment = regexp.MustCompile(`%[^\n]*`)
	erlangRelease = regexp.MustCompile(`\{\s*release\s*,\s*\{\s*(?:'([^'\n]+)'|([a-z][\w@]*))\s*,`)
	goModule      = regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)`)
	goMajor       = regexp.MustCompile(`^v[0-9]+$`)
	goMain        = regexp.MustCompile(`(?m)^package main\b`)
	goIgnored     = regexp.MustCompile(`(?m)^//go:build ignore\b`)
	notWord       = regexp.MustCompile(`\W`)
	notLabel      = regexp.MustCompile(`[^A-Za-z0-9-]+`)
	goVersion     = regexp.MustCompile(`(?m)^(?:\t|var )(version|Version)\s+(?:string\s+)?=\s*"`)
	plainName     = regexp.MustCompile(`^[A-Za-z][\w.-]*$`)
)

// recognise finds out what a folder holds, and what it is run with.
func recognise(files host.FS, dir string) (found, error) {
	f, err := recogniseProgram(files, dir)
	if err != nil {
		return f, err
	}
	for _, name := range []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"} {
		if _, err := files.Stat(filepath.Join(dir, name)); err == nil && f.compose == "" {
			f.compose = name
		}
	}
	for _, name := range []string{"k8s", "kubernetes", "manifests", "deploy/k8s"} {
		entries, _ := files.ReadDir(filepath.Join(dir, name))
		yaml := func(e fs.DirEntry) bool { return path.Ext(e.Name()) == ".yaml" || path.Ext(e.Name()) == ".yml" }
		if f.manifests == "" && slices.ContainsFunc(entries, yaml) {
			f.manifests = name
		}
	}
	if f.kind == "command" && f.compose+f.manifests != "" {
		f.kind, f.says = "", nil
	}
	for _, what := range []string{f.compose, f.manifests} {
		if what != "" {
			f.says = append(f.says, "found "+what)
		}
	}
	return f, nil
}

// recogniseProgram finds the program. What cannot be read is an error: it may be what it looks for.
func recogniseProgram(files host.FS, dir string) (found, error) {
	said := ""
	switch rebar, err := host.ReadFile(files, filepath.Join(dir, "rebar.config"), 1<<20); {
	case err == nil:
		m := erlangRelease.FindSubmatch(erlangComment.ReplaceAll(rebar, nil))
		if name := string(bytes.Join(append(m, nil, nil, nil)[1:3], nil)); plainName.MatchString(name) {
			return recogniseRebar(files, dir, name), nil
		}
		said = "found rebar.config without a release: {relx, [{release, {NAME, \"1.0.0\"}, [NAME]}]} describes one"
	case !errors.Is(err, fs.ErrNotExist):
		return found{}, err
	}
	switch mod, err := host.ReadFile(files, filepath.Join(dir, "go.mod"), 1<<20); {
	case err == nil:
		if f, ok := recogniseGo(files, dir, mod); ok {
			return f, nil
		}
		said = "found go.mod without a program: no package main lies beside it or in cmd/NAME"
	case !errors.Is(err, fs.ErrNotExist):
		return found{}, err
	}
	f := found{kind: "command", app: filepath.Base(dir), health: "/health", says: []string{"found neither a rebar3 release nor a Go program: environments.star builds by a command"}}
	if !plainName.MatchString(f.app) {
		f.app = "app"
	}
	if said != "" {
		f.says = slices.Insert(f.says, 0, said)
	}
	return f, nil
}

func recogniseRebar(files host.FS, dir, name string) found {
	f := found{kind: "rebar3", app: name, health: "/health", document: true, says: []string{"found a rebar3 release, " + name}}
	var tests []string
	for _, t := range [][2]string{{"eunit", "_tests.erl"}, {"ct", "_SUITE.erl"}} {
		if holdsFile(files, dir, t[1]) {
			tests = append(tests, fmt.Sprintf("%q", t[0]))
		}
	}
	f.tests = strings.Join(tests, ", ")
	return f
}

// holdsFile reports whether a folder of tests has a file that ends so.
func holdsFile(files host.FS, dir, suffix string) bool {
	dirs := []string{"test", "src"}
	apps, _ := files.ReadDir(filepath.Join(dir, "apps"))
	for _, a := range apps {
		dirs = append(dirs, filepath.Join("apps", a.Name(), "test"), filepath.Join("apps", a.Name(), "src"))
	}
	for _, d := range dirs {
		entries, _ := files.ReadDir(filepath.Join(dir, d))
		if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return strings.HasSuffix(e.Name(), suffix) }) {
			return true
		}
	}
	return false
}

// recogniseGo finds the program of a module: the one beside go.mod, or in cmd the one that has the module's name, or
// the first.
func recogniseGo(files host.FS, dir string, mod []byte) (found, bool) {
	m := goModule.FindSubmatch(mod)
	if m == nil {
		return found{}, false
	}
	module := string(m[1])
	name := path.Base(module)
	if goMajor.MatchString(name) {
		name = path.Base(path.Dir(module))
	}
	f := found{kind: "go", app: name, goPackage: "."}
	source := mainSource(files, dir)
	if source == nil {
		var programs []string
		entries, _ := files.ReadDir(filepath.Join(dir, "cmd"))
		for _, e := range entries {
			if plainName.MatchString(e.Name()) && mainSource(files, filepath.Join(dir, "cmd", e.Name())) != nil {
				programs = append(programs, e.Name())
			}
		}
		if len(programs) == 0 {
			return f, false
		}
		if !slices.Contains(programs, name) {
			f.app = programs[0]
		}
		f.goPackage = "./cmd/" + f.app
		source = mainSource(files, filepath.Join(dir, "cmd", f.app))
		if len(programs) > 1 {
			f.says = []string{"found the Go programs " + strings.Join(programs, ", ") + "; environments.star takes " + f.app}
		}
	}
	if !plainName.MatchString(f.app) {
		f.app = "app"
	}
	if f.says == nil {
		f.says = []string{fmt.Sprintf("found a Go program, %s of the module %s", f.goPackage, module)}
	}
	f.look(source)
	return f, true
}

// look takes from the program's source what it says of its port and its health.
func (f *found) look(source []byte) {
	f.document = bytes.Contains(source, []byte(`"healthy"`)) || bytes.Contains(source, []byte(`\"healthy\"`))
	if m := goVersion.FindSubmatch(source); m != nil {
		f.ldflags = fmt.Sprintf(`, ldflags = "-X main.%s={version}"`, m[1])
	}
	f.health = "/health"
	if !bytes.Contains(source, []byte(`/health"`)) && bytes.Contains(source, []byte(`/healthz"`)) {
		f.health = "/healthz"
	}
	if !bytes.Contains(source, []byte(`PORT`)) {
		f.says = append(f.says, "note: its source does not read PORT; environments.star says how else to tell it its port")
	}
	if !bytes.Contains(source, []byte(f.health)) {
		f.says = append(f.says, "note: its source does not name "+f.health+"; say in environments.star where it answers for its health")
	}
}

// mainSource is the source of the package main in a folder, nil where there is none.
func mainSource(files host.FS, dir string) []byte {
	entries, _ := files.ReadDir(dir)
	var all []byte
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		src, err := host.ReadFile(files, filepath.Join(dir, e.Name()), 1<<20)
		if err == nil && goMain.Match(src) && !goIgnored.Match(src) {
			all = append(all, src...)
		}
	}
	return all
}
