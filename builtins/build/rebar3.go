package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Rebar3 builds an Erlang release.
type Rebar3 struct {
	_       op.Doc                 `doc:"Builds an Erlang release with rebar3. The input is every file below dir but _build and those that git ignores; unchanged, its release is found again by digest. Compiled code stays in _build; a release there is left alone."`
	Profile string                 `json:"profile" doc:"The profile that it is built as."`
	Release string                 `json:"release,omitempty" doc:"The release's name; the one in rebar.config when left out."`
	Version string                 `json:"version,omitempty" doc:"The version that the release, or the application that it is called after, must turn out to have; the application's, else the release's, when left out. Health is held to it."`
	Env     map[string]secret.Text `json:"env,omitempty" doc:"Variables beside the environment that runner was started with."`
	Dir     string                 `json:"dir,omitempty" doc:"The folder with rebar.config, the project when left out."`
	Timeout op.Duration            `json:"timeout" doc:"How long the build may take."`
	Key     op.Key                 `json:"key,omitempty"`
}

var (
	_ op.Previewer[*host.Host, artifact.Artifact] = Rebar3{}
	_ op.Checked                                  = Rebar3{}
)

// Rebar3Source is the value that environments name an Erlang release by.
type Rebar3Source struct {
	_       op.Doc                 `doc:"How an environment's program is built: with rebar3, as an Erlang release."`
	Profile string                 `json:"profile" doc:"The profile that it is built as."`
	Release string                 `json:"release,omitempty" doc:"The release's name; the one in rebar.config when left out."`
	Version string                 `json:"version,omitempty" doc:"The version that the release, or the application that it is called after, must turn out to have; the application's, else the release's, when left out. Health is held to it."`
	Env     map[string]secret.Text `json:"env,omitempty" doc:"Variables beside the environment that runner was started with."`
	Dir     string                 `json:"dir,omitempty" doc:"The folder with rebar.config, the project when left out."`
	Tests   []string               `json:"tests" doc:"What tests the source: \"eunit\", \"ct\"; an empty list for nothing."`
}

// Check implements op.Checked.
func (r Rebar3Source) Check() error {
	if len(r.Tests) > 0 {
		if err := checkSuites("tests", r.Tests); err != nil {
			return err
		}
	}
	return Rebar3{Profile: r.Profile, Release: r.Release, Version: r.Version, Env: r.Env, Timeout: defaultTimeout}.Check()
}

// Summary implements op.Op.
func (r Rebar3) Summary() string {
	if r.Release == "" {
		return "build the release as " + r.Profile
	}
	return "build the release " + r.Release + " as " + r.Profile
}

var atom = regexp.MustCompile(`^[a-z][0-9A-Za-z_@]*$`)

func checkProfile(profile string) error {
	for p := range strings.SplitSeq(profile, ",") {
		if len(p) > longest || !atom.MatchString(p) {
			return fmt.Errorf("profile: want the name of a profile, such as \"prod\", got %q", profile)
		}
	}
	return nil
}

// Check implements op.Checked.
func (r Rebar3) Check() error {
	if err := checkProfile(r.Profile); err != nil {
		return err
	}
	if r.Release != "" && (!atom.MatchString(r.Release) || checkName("", r.Release) != nil) {
		return fmt.Errorf("release: want the name of a release, such as \"erlmcp\", got %q", r.Release)
	}
	return checkCommon(r.Version, r.Env, r.Timeout)
}

const (
	rebarBuild  = "_build"
	rebarConfig = "rebar.config"
	rebarGone   = "install rebar3 and Erlang/OTP, such as by apt-get install rebar3"
)

func (r Rebar3) tree() tree {
	t := tree{what: r.Release, argv: []string{"rebar3", "as", r.Profile, "release"}, output: rebarBuild, version: r.Version,
		dir: r.Dir, env: rebarEnv(r.Env), timeout: r.Timeout, key: r.Key, missing: rebarGone}
	r.Key = ""
	t.params = r
	return t
}

// rebarEnv has rebar3 speak without colours.
func rebarEnv(env map[string]secret.Text) map[string]secret.Text {
	all := map[string]secret.Text{"REBAR_COLOR": secret.Plain("none"), "TERM": secret.Plain("dumb")}
	for name, text := range env {
		all[name] = text
	}
	return all
}

// Preview implements op.Previewer.
func (r Rebar3) Preview(_ context.Context, h *host.Host) (artifact.Artifact, error) {
	return r.tree().preview(h)
}

// Do implements op.Op.
func (r Rebar3) Do(ctx context.Context, h *host.Host) (artifact.Artifact, error) {
	t := r.tree()
	if err := command.CheckDir(h, r.Dir); err != nil {
		return artifact.Artifact{}, err
	}
	if t.what == "" {
		name, err := releaseName(h.Files, h.Abs(r.Dir))
		if err != nil {
			return artifact.Artifact{}, err
		}
		t.what = name
	}
	t.argv = append(t.argv, "--relname", t.what)
	t.more = func(in *input) error { return t.toolchain(ctx, h, in) }
	return t.perform(ctx, h, func(p *plan, dir string, a *artifact.Artifact) error {
		if err := t.run(ctx, h, append(p.argv, "--output-dir", dir)...); err != nil {
			return err
		}
		made := filepath.Join(dir, a.Name)
		is, app := releaseVersion(h.Files, made), releasedApp(h.Files, made)
		switch {
		case is == "":
			return fmt.Errorf("cannot build %s: rebar3 made no release of that name", t.what)
		case r.Version != "" && r.Version != is && r.Version != app:
			if app != "" && app != is {
				is += ", and its application " + app
			}
			return op.Hint(fmt.Errorf("cannot build %s %s: the release is %s", t.what, r.Version, is), "leave version out, or change it in rebar.config or *.app.src")
		}
		a.Version = cmp.Or(r.Version, app, is)
		return judge(h.Files, made, a)
	})
}

// toolchain adds what rebar3 and Erlang say that they are, and the variables that they read.
func (t tree) toolchain(ctx context.Context, h *host.Host, in *input) error {
	ran, err := ask(ctx, h, command.Cmd{Argv: []string{"rebar3", "version"}, Dir: t.dir, Env: t.env, Key: t.key})
	if err != nil && ran.Exit.Code == 127 { // by env, which starts the one for the other
		ran.Started, err = false, errors.New("cannot start rebar3: Erlang's escript is not in PATH")
	}
	if err != nil {
		return t.failure(ran, err)
	}
	in.add("toolchain", ran.Stdout)
	in.add("version", "the application's") // what was built before it was, under the release's, is built again
	for _, kv := range h.Env {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "REBAR_") || strings.HasPrefix(name, "ERL_") {
			in.add("variable", kv)
		}
	}
	return nil
}

var releaseTerm = regexp.MustCompile(`\{\s*release\s*,\s*\{\s*'?([a-z][0-9A-Za-z_@]*)'?\s*,`)

// releaseName is the name of the only release in rebar.config.
func releaseName(f host.FS, dir string) (string, error) {
	text, err := erlang(f, filepath.Join(dir, rebarConfig))
	if errors.Is(err, fs.ErrNotExist) {
		return "", op.Hint(fmt.Errorf("cannot build a release: there is no %s in %s", rebarConfig, dir), "dir names the folder of the project")
	}
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", rebarConfig, artifact.Plainly(err))
	}
	var names []string
	for _, m := range releaseTerm.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	switch names = slices.Compact(names); len(names) {
	case 0:
		return "", op.Hint(errors.New("cannot build a release: "+rebarConfig+" names none"), "release names it")
	case 1:
		return names[0], nil
	}
	return "", op.Hint(fmt.Errorf("cannot build a release: %s names %s", rebarConfig, strings.Join(names, ", ")), "release names the one")
}
