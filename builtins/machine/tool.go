package machine

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

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/builtins/patient"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Tool looks for a program.
type Tool struct {
	_       op.Doc      `doc:"Looks for a program and asks it for its version."`
	Name    string      `json:"name" doc:"The program, looked for in PATH unless there is a slash in it."`
	AtLeast string      `json:"at_least,omitempty" doc:"The lowest version that is enough: \"15\" or \"1.26.1\"; any when left out."`
	Args    []string    `json:"args,omitempty" doc:"The arguments that make it print its version; runner knows those of common programs, and takes --version for others."`
	Timeout op.Duration `json:"timeout" doc:"How long it may take to answer."`
}

// Program is a program of the machine, or that it has none.
type Program struct {
	_       op.Doc `doc:"A program of the machine, or that it has none."`
	Name    string `json:"name" doc:"The name that was looked for."`
	Found   bool   `json:"found" doc:"Whether it is there and can be started."`
	Path    string `json:"path" doc:"Where it is."`
	Version string `json:"version" doc:"Its version, empty where it does not say one."`
	Enough  bool   `json:"enough" doc:"Whether it is there, in a version that is enough."`
	Problem string `json:"problem" doc:"Why it is not enough, empty where it is."`
}

var (
	_ op.Op[*host.Host, Program] = Tool{}
	_ op.Checked                 = Tool{}
)

// Summary implements op.Op.
func (t Tool) Summary() string {
	if t.AtLeast != "" {
		return fmt.Sprintf("look for %s %s or later", t.Name, t.AtLeast)
	}
	return "look for " + t.Name
}

var plainVersion = regexp.MustCompile(`^[0-9]{1,18}(\.[0-9]{1,18}){0,9}$`)

// Check implements op.Checked.
func (t Tool) Check() error {
	if t.Name == "" || strings.ContainsAny(t.Name, "\x00\n") {
		return fmt.Errorf("name: want a program, got %q", t.Name)
	}
	if t.AtLeast != "" && !plainVersion.MatchString(t.AtLeast) {
		return fmt.Errorf(`at_least: want a version such as "15" or "1.26.1", got %q`, t.AtLeast)
	}
	if len(t.Args) > 0 {
		return cmp.Or(command.CheckArgv("args", append([]string{t.Name}, t.Args...)), checkTimeout(t.Timeout))
	}
	return checkTimeout(t.Timeout)
}

// Do implements op.Op.
func (t Tool) Do(ctx context.Context, h *host.Host) (Program, error) {
	if ctx.Err() != nil {
		return Program{}, context.Cause(ctx)
	}
	p := Program{Name: t.Name}
	path, err := find(h, t.Name)
	if err != nil {
		p.Problem = why(err)
		return p, nil
	}
	p.Found, p.Path = true, path
	p.Version, err = t.version(ctx, h, path)
	if ctx.Err() != nil {
		return Program{}, context.Cause(ctx)
	}
	switch {
	case t.AtLeast == "":
	case err != nil:
		p.Problem = "it does not tell its version: " + err.Error()
	case Compare(p.Version, t.AtLeast) < 0:
		p.Problem = fmt.Sprintf("it is version %s, want %s or later", p.Version, t.AtLeast)
	}
	p.Enough = p.Problem == ""
	return p, nil
}

// find is where a program is: in PATH, as a process of ours would look for it.
func find(h *host.Host, name string) (string, error) {
	if strings.Contains(name, "/") {
		return h.Abs(name), startable(h, h.Abs(name))
	}
	err := errors.New("it is not in PATH")
	i := slices.IndexFunc(h.Env, func(kv string) bool { return strings.HasPrefix(kv, "PATH=") })
	if i < 0 {
		return "", err
	}
	for _, dir := range filepath.SplitList(strings.TrimPrefix(h.Env[i], "PATH=")) {
		path := filepath.Join(dir, name)
		if filepath.IsAbs(path) && startable(h, path) == nil {
			return path, nil
		}
	}
	return "", err
}

func startable(h *host.Host, path string) error {
	info, err := h.Files.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a folder")
	case info.Mode().Perm()&0o111 == 0:
		return fs.ErrPermission
	}
	return host.May(path, unix.X_OK)
}

// version asks the program. Its error is what it answers instead.
func (t Tool) version(ctx context.Context, h *host.Host, path string) (string, error) {
	args := t.Args
	if len(args) == 0 {
		args = versionArgs(filepath.Base(path))
	}
	defer patient.Announce(ctx, h, t.Name+" to tell its version", t.Timeout.D())()
	ran, err := command.Run(ctx, h, command.Cmd{Argv: append([]string{path}, args...), Timeout: t.Timeout.D(), Quiet: true})
	if err == nil {
		err = ran.Succeeded()
	}
	if err != nil {
		return "", err
	}
	for _, text := range []string{ran.Stdout, strings.Join(ran.First, "\n")} { // some answer on standard error
		if v := parseVersion(text); v != "" {
			return v, nil
		}
	}
	return "", errors.New("there is no number in its answer")
}

// versionArgs are the arguments that make a program print its version.
func versionArgs(name string) []string {
	switch name {
	case "go", "openssl", "helm":
		return []string{"version"}
	case "erl":
		return []string{"-noshell", "-noinput", "-eval", otpVersion}
	case "kubectl":
		return []string{"version", "--client"}
	case "ssh", "scp":
		return []string{"-V"}
	case "java":
		return []string{"-version"}
	}
	return []string{"--version"}
}

// otpVersion prints what the file OTP_VERSION says, "25.2.3", and without that the release, "25".
const otpVersion = `R = erlang:system_info(otp_release),
F = filename:join([code:root_dir(), "releases", R, "OTP_VERSION"]),
io:format("~s~n", [case file:read_file(F) of {ok, B} -> B; _ -> R end]), halt(0).`
