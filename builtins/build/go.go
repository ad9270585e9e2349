package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
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

// Go builds a Go program.
type Go struct {
	_       op.Doc                 `doc:"Builds a Go program, the same bytes from the same source. What was built before from unchanged source is found again by digest."`
	Package string                 `json:"package" doc:"The main package, such as ./cmd/mcpd."`
	Output  string                 `json:"output,omitempty" doc:"The program's file name; the package's last element when left out."`
	Ldflags string                 `json:"ldflags,omitempty" doc:"Flags for the linker; {version} in them becomes the version."`
	Version string                 `json:"version,omitempty" doc:"The version; from the file VERSION, from git, or from the digest of the source when left out."`
	Env     map[string]secret.Text `json:"env,omitempty" doc:"Variables beside the environment that runner was started with; CGO_ENABLED is 0 unless it is here."`
	Dir     string                 `json:"dir,omitempty" doc:"The folder of the module, the project when left out."`
	Timeout op.Duration            `json:"timeout" doc:"How long the build may take."`
	Key     op.Key                 `json:"key,omitempty"`
}

var (
	_ op.Previewer[*host.Host, artifact.Artifact] = Go{}
	_ op.Checked                                  = Go{}
)

// Summary implements op.Op.
func (g Go) Summary() string { return "build " + g.Package }

// Check implements op.Checked.
func (g Go) Check() error {
	if g.Package == "" || strings.Contains(g.Package, "...") || strings.ContainsAny(g.Package, " \t\n") || g.Package[0] == '-' {
		return fmt.Errorf("package: want one main package, such as \"./cmd/mcpd\", got %q", g.Package)
	}
	if g.Output != "" {
		if err := checkName("output", g.Output); err != nil {
			return err
		}
	}
	return checkCommon(g.Version, g.Env, g.Timeout)
}

func checkCommon(version string, env map[string]secret.Text, timeout op.Duration) error {
	if version != "" {
		if err := checkVersion("version", version); err != nil {
			return err
		}
	}
	if timeout <= 0 {
		return errors.New("timeout: want more than 0s")
	}
	return command.CheckEnv(env)
}

// Preview implements op.Previewer.
func (g Go) Preview(_ context.Context, h *host.Host) (artifact.Artifact, error) {
	stamp, err := g.stamp(h)
	return preview(h, stamp, err)
}

func (g Go) stamp(h *host.Host) (string, error) {
	g.Key = ""
	return stampOf(h, g, g.Dir, "", g.Version)
}

// Do implements op.Op.
func (g Go) Do(ctx context.Context, h *host.Host) (artifact.Artifact, error) {
	op.Waiting(ctx, "go to list the source of "+g.Package, h.Clock.Now().Add(g.Timeout.D()))
	p, err := g.plan(ctx, h)
	if err != nil {
		return artifact.Artifact{}, err
	}
	return p.perform(ctx, h, func(dir string, _ *artifact.Artifact) error {
		argv := slices.Concat(p.argv, []string{"-o", filepath.Join(dir, p.artifact.Name), g.Package})
		ran, err := command.Run(ctx, h, command.Cmd{Argv: argv, Dir: g.Dir, Env: g.env(), Timeout: g.Timeout.D(), Key: g.Key})
		if err == nil {
			err = ran.Succeeded()
		}
		return ran.Failure(g.Summary(), err, ran.First)
	})
}

func (g Go) env() map[string]secret.Text {
	env := map[string]secret.Text{"CGO_ENABLED": secret.Plain("0")}
	maps.Copy(env, g.Env)
	return env
}

// plan asks the toolchain what the build would read, and names the build by it.
func (g Go) plan(ctx context.Context, h *host.Host) (*plan, error) {
	if err := command.CheckDir(h, g.Dir); err != nil {
		return nil, err
	}
	in := &input{}
	in.env(g.Env)
	platform, major, err := g.toolchain(ctx, h, in)
	if err != nil {
		return nil, err
	}
	name, err := g.sources(ctx, h, in)
	if err != nil {
		return nil, err
	}
	if g.Output != "" {
		name = g.Output
	}
	in.add("ldflags", g.Ldflags)
	in.add("output", name)
	v, err := g.version(ctx, h, major, in.digest())
	if err != nil {
		return nil, err
	}
	in.add("version", v)
	argv := []string{"go", "build", "-trimpath", "-buildvcs=false"}
	if g.Ldflags != "" {
		argv = append(argv, "-ldflags", strings.ReplaceAll(g.Ldflags, "{version}", v))
	}
	return &plan{what: g.Package, key: g.Key, stamp: g.stamp, input: in.digest(), argv: argv, artifact: artifact.Artifact{Name: name, Version: v, Platform: platform}}, nil
}

// settings are what the toolchain reads from variables and from its own configuration, and what shows in a program.
var settings = []string{"GOVERSION", "GOOS", "GOARCH", "GOFLAGS", "GOEXPERIMENT", "GOFIPS140", "CGO_ENABLED", "GO386",
	"GOAMD64", "GOARM", "GOARM64", "GOMIPS", "GOMIPS64", "GOPPC64", "GORISCV64", "GOMOD", "GOWORK"}

func (g Go) toolchain(ctx context.Context, h *host.Host, in *input) (platform, major string, err error) {
	argv := append([]string{"go", "env", "-json"}, settings...)
	ran, err := ask(ctx, h, command.Cmd{Argv: argv, Dir: g.Dir, Env: g.env(), Timeout: g.Timeout.D(), Key: g.Key})
	if err != nil && !ran.Started {
		return "", "", op.Hint(err, "build.go needs the Go toolchain: https://go.dev/dl")
	}
	if err != nil {
		return "", "", ran.Failure(g.Summary(), err, ran.First)
	}
	set := map[string]string{}
	if err := json.Unmarshal([]byte(ran.Stdout), &set); err != nil {
		return "", "", fmt.Errorf("cannot read what go env says: %w", err)
	}
	mod := set["GOMOD"]
	if mod == "" || mod == "/dev/null" {
		return "", "", op.Hint(fmt.Errorf("cannot build %s: there is no go.mod in %s", g.Package, h.Abs(g.Dir)), "dir names the folder of the module")
	}
	for _, name := range []string{mod, strings.TrimSuffix(mod, ".mod") + ".sum", set["GOWORK"]} {
		if name != "" && err == nil {
			err = in.file(h.Files, filepath.Base(name), name)
		}
	}
	delete(set, "GOMOD") // where the source lies does not count
	delete(set, "GOWORK")
	for name, value := range set {
		in.add("setting", name, value)
	}
	return set["GOOS"] + "/" + set["GOARCH"], majorOf(h.Files, mod), err
}

// listed is what go list says about a package.
type listed struct {
	ImportPath, Dir, Name string
	Standard, DepOnly     bool
	GoFiles, CgoFiles, CFiles, CXXFiles, MFiles, HFiles, FFiles, SFiles,
	SwigFiles, SwigCXXFiles, SysoFiles, EmbedFiles []string
}

func (l listed) files() []string {
	return slices.Concat(l.GoFiles, l.CgoFiles, l.CFiles, l.CXXFiles, l.MFiles, l.HFiles, l.FFiles, l.SFiles,
		l.SwigFiles, l.SwigCXXFiles, l.SysoFiles, l.EmbedFiles)
}

const fields = "ImportPath,Dir,Name,Standard,DepOnly,GoFiles,CgoFiles,CFiles,CXXFiles,MFiles,HFiles,FFiles,SFiles," +
	"SwigFiles,SwigCXXFiles,SysoFiles,EmbedFiles"

// sources adds every file that the build reads outside the standard library, and gives the program's name.
func (g Go) sources(ctx context.Context, h *host.Host, in *input) (string, error) {
	argv := []string{"go", "list", "-deps", "-json=" + fields, g.Package}
	ran, err := ask(ctx, h, command.Cmd{Argv: argv, Dir: g.Dir, Env: g.env(), Timeout: g.Timeout.D(), Key: g.Key})
	if err != nil {
		return "", ran.Failure(g.Summary(), err, ran.First)
	}
	name := ""
	for d := json.NewDecoder(strings.NewReader(ran.Stdout)); ; {
		var l listed
		if err := d.Decode(&l); err == io.EOF {
			return name, nil
		} else if err != nil {
			return "", fmt.Errorf("cannot read what go list says: %w", err)
		}
		if l.Standard {
			continue
		}
		files := l.files()
		if !l.DepOnly {
			if l.Name != "main" {
				return "", fmt.Errorf("cannot build %s: it is the package %s, not a program", g.Package, l.Name)
			}
			name = programName(l.ImportPath)
			files = append(files, "default.pgo")
		}
		for _, f := range files {
			if err := in.file(h.Files, l.ImportPath+"/"+f, filepath.Join(l.Dir, f)); err != nil {
				return "", fmt.Errorf("cannot read %s: %w", f, artifact.Plainly(err))
			}
		}
	}
}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

func programName(importPath string) string {
	if base := path.Base(importPath); !majorVersion.MatchString(base) {
		return base
	}
	return path.Base(path.Dir(importPath))
}

func (g Go) version(ctx context.Context, h *host.Host, major, input string) (string, error) {
	return version(ctx, h, wanted{asked: g.Version, dir: g.Dir, major: major, input: input, key: g.Key})
}
