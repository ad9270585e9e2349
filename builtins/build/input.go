package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// input is all that goes into a build: lines that say what, in an order of their own. Secrets count by their names.
type input struct{ lines []string }

func (in *input) add(what string, values ...string) {
	in.lines = append(in.lines, fmt.Sprintf("%s %q", what, values))
}

func (in *input) env(env map[string]secret.Text) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		in.add("env", name, env[name].String())
	}
}

// file adds a file's content and whether it is a program. A file that is not there is an input as well.
func (in *input) file(f host.FS, as, name string) error {
	info, err := f.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		in.add("missing", as)
		return nil
	}
	if err != nil {
		return err
	}
	digest, _, err := artifact.File(f, name)
	in.add("file", as, digest, fmt.Sprint(info.Mode()&0o111 != 0))
	return err
}

func (in *input) digest() string {
	slices.Sort(in.lines)
	sum := sha256.Sum256([]byte(strings.Join(in.lines, "\n")))
	return hex.EncodeToString(sum[:])
}

// ask runs a program that only answers, such as git describe.
func ask(ctx context.Context, h *host.Host, c command.Cmd) (command.Ran, error) {
	c.Quiet, c.Keep = true, 64<<20
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	ran, err := command.Run(ctx, h, c)
	if err == nil {
		err = ran.Succeeded()
	}
	if err == nil && ran.Truncated {
		err = fmt.Errorf("%s says more than %s", command.Line(c.Argv), op.Size(c.Keep))
	}
	return ran, err
}
