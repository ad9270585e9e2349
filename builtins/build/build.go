// Package build makes artifacts from source, each in a folder of .runner/builds named by the digest of all that went into
// it: the same input gives the same artifact, made once. It installs nothing, and trusts nothing that it finds there before
// its digest is seen to be right.
package build

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

const defaultTimeout = op.Duration(30 * time.Minute)

// Family is what scripts see as build, and the values go(...), command(...), make(...) and rebar3(...).
func Family(h *host.Host) builtin.Family {
	return builtin.NewFamily("build", "Makes artifacts from source, and finds them again when nothing has changed.",
		op.Make(h, Go{Timeout: defaultTimeout}),
		op.Make(h, Command{Timeout: defaultTimeout}),
		op.Make(h, Make{Timeout: defaultTimeout}),
		op.Make(h, Rebar3{Profile: "prod", Timeout: defaultTimeout}),
		op.Make(h, Rebar3Test{Suites: bothSuites(), Profile: "test", Timeout: defaultTimeout}),
		op.Read(h, File{}),
		op.Read(h, Version{}),
		builtin.ValueSpec{Name: "go", Global: true, Proto: GoSource{Tests: []string{"go", "test", "./..."}}},
		builtin.ValueSpec{Name: "command", Global: true, Proto: CommandSource{}},
		builtin.ValueSpec{Name: "make", Global: true, Proto: MakeSource{}},
		builtin.ValueSpec{Name: "rebar3", Global: true, Proto: Rebar3Source{Profile: "prod", Tests: bothSuites()}},
	)
}

// GoSource is the value that environments name a Go program by.
type GoSource struct {
	_       op.Doc                 `doc:"How an environment's program is built: with the Go toolchain."`
	Package string                 `json:"package" doc:"The main package, such as ./cmd/mcpd."`
	Output  string                 `json:"output,omitempty" doc:"The program's file name; the package's last element when left out."`
	Ldflags string                 `json:"ldflags,omitempty" doc:"Flags for the linker; {version} in them becomes the version."`
	Version string                 `json:"version,omitempty" doc:"The version; from the file VERSION or from git when left out."`
	Env     map[string]secret.Text `json:"env,omitempty" doc:"Variables beside the environment that runner was started with."`
	Dir     string                 `json:"dir,omitempty" doc:"The folder of the module, the project when left out."`
	Tests   []string               `json:"tests" doc:"The program and arguments that test the source; an empty list for none."`
}

// Check implements op.Checked.
func (g GoSource) Check() error {
	if err := checkTests(g.Tests); err != nil {
		return err
	}
	return Go{Package: g.Package, Output: g.Output, Version: g.Version, Env: g.Env, Timeout: defaultTimeout}.Check()
}

// CommandSource is the value that environments name any other build by.
type CommandSource struct {
	_       op.Doc                 `doc:"How an environment's program is built: by a command of its own."`
	Argv    []string               `json:"argv" doc:"The program and its arguments that build; {version} in them becomes the version."`
	Output  string                 `json:"output" doc:"The file or folder that it makes, seen from dir."`
	Version string                 `json:"version,omitempty" doc:"The version; from the file VERSION or from git when left out."`
	Env     map[string]secret.Text `json:"env,omitempty" doc:"Variables beside the environment that runner was started with."`
	Dir     string                 `json:"dir,omitempty" doc:"The folder with the source, the project when left out."`
	Tests   []string               `json:"tests,omitempty" doc:"The program and arguments that test the source; none when left out."`
}

// Check implements op.Checked.
func (c CommandSource) Check() error {
	if err := checkTests(c.Tests); err != nil {
		return err
	}
	return Command{Argv: c.Argv, Output: c.Output, Version: c.Version, Env: c.Env, Timeout: defaultTimeout}.Check()
}

func checkTests(argv []string) error {
	if len(argv) == 0 {
		return nil
	}
	return command.CheckArgv("tests", argv)
}

// longest is the longest name or version, in bytes. It is no part of a pattern: a pattern that counts to 100 is 100 patterns,
// and each start of runner would make them.
const longest = 100

var versionPattern = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+_~-]*$`)

func checkVersion(name, version string) error {
	if len(version) > longest || !versionPattern.MatchString(version) {
		return fmt.Errorf("%s: want a version of letters, digits and . + _ ~ -, got %q", name, version)
	}
	return nil
}

var namePattern = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z.+_~-]*$`)

func checkName(name, file string) error {
	if len(file) > longest || !namePattern.MatchString(file) || slices.Contains([]string{record, used, stamped, lock}, file) {
		return fmt.Errorf("%s: want the name of a file, without a folder, got %q", name, file)
	}
	return nil
}
