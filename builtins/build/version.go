package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// maxText bounds the files that versions are read from, in bytes.
const maxText = 256 << 10

// wanted is what is known when the version of a build is looked for.
type wanted struct {
	asked string
	dir   string
	app   string // whose *.app.src is looked at, or the only one; none when left out
	major string // of the module path in go.mod, 0 when left out
	input string
	key   op.Key
}

// version is the one that was asked for, else that of the source, else what git calls the source, else one made of the
// input's digest.
func version(ctx context.Context, h *host.Host, w wanted) (string, error) {
	v, err := written(h, w)
	if v == "" && err == nil {
		v, err = gitVersion(ctx, h, w)
	}
	if v != "" || err != nil {
		return v, err
	}
	return cmp.Or(w.major, "0") + ".0.0-" + w.input[:12], nil
}

// written is the version that was asked for, else that of the Erlang application, else the first line of the file VERSION, ""
// where none says one.
func written(h *host.Host, w wanted) (string, error) {
	if w.asked != "" {
		return w.asked, nil
	}
	if v, err := appVersion(h.Files, h.Abs(w.dir), w.app); v != "" || err != nil {
		return v, err
	}
	return fileVersion(h.Files, filepath.Join(h.Abs(w.dir), "VERSION"))
}

// appVersion is the vsn of src/APP.app.src or apps/APP/src/APP.app.src, "" where there is no such file, or where the vsn
// is for rebar3 to work out.
func appVersion(f host.FS, dir, app string) (string, error) {
	if app == "" {
		return "", nil
	}
	files, err := appFiles(f, dir)
	if err != nil {
		return "", fmt.Errorf("cannot look for *.app.src: %w", artifact.Plainly(err))
	}
	found := ""
	for _, name := range files {
		if len(files) == 1 || filepath.Base(name) == app+appSuffix {
			found = name
		}
	}
	if found == "" {
		return "", nil
	}
	text, err := erlang(f, filepath.Join(dir, found))
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", found, artifact.Plainly(err))
	}
	m := vsn.FindStringSubmatch(text)
	if m == nil {
		return "", nil
	}
	return m[1], checkVersion("cannot use the vsn of "+found, m[1])
}

const (
	appSuffix = ".app.src"
	anyApp    = "." // the only one, whatever it is called
)

// appFiles are the *.app.src of a rebar3 project, seen from dir.
func appFiles(f host.FS, dir string) ([]string, error) {
	folders := []string{"src"}
	apps, err := list(f, filepath.Join(dir, "apps"))
	for _, app := range apps {
		folders = append(folders, filepath.Join("apps", app, "src"))
	}
	var out []string
	for _, folder := range folders {
		var names []string
		if err == nil {
			names, err = list(f, filepath.Join(dir, folder))
		}
		for _, name := range names {
			if strings.HasSuffix(name, appSuffix) {
				out = append(out, filepath.Join(folder, name))
			}
		}
	}
	return out, err
}

// list is the names in a folder, none where there is no such folder.
func list(f host.FS, dir string) ([]string, error) {
	if info, err := f.Stat(dir); err != nil || !info.IsDir() {
		return nil, nil
	}
	entries, err := f.ReadDir(dir)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out, err
}

var (
	vsn     = regexp.MustCompile(`\{\s*vsn\s*,\s*"([^"\n]*)"\s*\}`)
	comment = regexp.MustCompile(`(?m)^([^"%\n]*(?:"[^"\n]*"[^"%\n]*)*)%.*$`)
)

// erlang is the text of a file of Erlang terms without its comments.
func erlang(f host.FS, name string) (string, error) {
	b, err := host.ReadFile(f, name, maxText)
	return comment.ReplaceAllString(string(b), "$1"), err
}

func fileVersion(f host.FS, name string) (string, error) {
	b, err := host.ReadFile(f, name, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot use the file VERSION: %w", artifact.Plainly(err))
	}
	line, _, _ := strings.Cut(string(b), "\n")
	v := strings.TrimSpace(line)
	return v, checkVersion("cannot use the file VERSION", v)
}

func gitVersion(ctx context.Context, h *host.Host, w wanted) (string, error) {
	argv := []string{"git", "describe", "--tags", "--always", "--dirty"}
	// Without this git may write to the repository, which a plan must not.
	env := map[string]secret.Text{"GIT_OPTIONAL_LOCKS": secret.Plain("0")}
	ran, err := ask(ctx, h, command.Cmd{Argv: argv, Dir: w.dir, Env: env, Key: w.key})
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	v := strings.ReplaceAll(strings.TrimSpace(ran.Stdout), "/", "-")
	if err != nil || checkVersion("", v) != nil {
		return "", nil
	}
	return v, nil
}

var modulePath = regexp.MustCompile(`(?m)^module\s+"?[^\s"]+/v([0-9]+)"?`)

// majorOf is the major version in the module path of a go.mod, all that a go.mod says of the version.
func majorOf(f host.FS, mod string) string {
	b, _ := host.ReadFile(f, mod, maxText)
	if m := modulePath.FindSubmatch(b); m != nil {
		return string(m[1])
	}
	return ""
}

// ofRelease is the version that an Erlang release says when it runs: that of the application which it is called after, else
// its own; "" where the folder is no such release.
func ofRelease(f host.FS, dir string) string {
	return cmp.Or(releasedApp(f, dir), releaseVersion(f, dir))
}

// releasedApp is the version of the application that an Erlang release is called after, "" where there is none.
func releasedApp(f host.FS, dir string) string {
	rel := filepath.Join(dir, "releases", releaseVersion(f, dir))
	names, _ := list(f, rel)
	for _, name := range names {
		app, is := strings.CutSuffix(name, ".rel")
		if !is {
			continue
		}
		text, _ := erlang(f, filepath.Join(rel, name))
		m := regexp.MustCompile(`\{\s*'?` + regexp.QuoteMeta(app) + `'?\s*,\s*"([^"\n]*)"`).FindStringSubmatch(text)
		if m != nil && checkVersion("", m[1]) == nil {
			return m[1]
		}
	}
	return ""
}

// releaseVersion is the version in an Erlang release's start_erl.data, "" where the folder is no such release.
func releaseVersion(f host.FS, dir string) string {
	b, _ := host.ReadFile(f, filepath.Join(dir, "releases/start_erl.data"), maxText)
	words := strings.Fields(string(b))
	if len(words) != 2 || checkVersion("", words[1]) != nil {
		return ""
	}
	return words[1]
}
