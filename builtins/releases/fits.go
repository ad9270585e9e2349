package releases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Fits is releases.fits.
type Fits struct {
	_        op.Doc            `doc:"Compares what was built with a root, before anything is changed: its platform with the machine's, its bytes and files with what the disk has left."`
	Root     string            `json:"root" doc:"The host root."`
	Artifact artifact.Artifact `json:"artifact" doc:"What a build made."`
	Copies   int               `json:"copies,omitempty" doc:"How many copies there will be: a release, its trial, a backup."`
}

// Summary implements op.Op.
func (f Fits) Summary() string {
	return fmt.Sprintf("compare %s with %s", f.Artifact, f.Root)
}

// Do implements op.Op. It gives what does not fit, a line each; none where all does.
func (f Fits) Do(_ context.Context, h *host.Host) ([]string, error) {
	r := layout.At(h, f.Root)
	var problems []string
	here := runtime.GOOS + "/" + runtime.GOARCH
	if p := f.Artifact.Platform; p != "" && p != "any" && !slices.Contains(strings.Split(p, ","), here) {
		problems = append(problems, fmt.Sprintf("%s is built for %s, and this machine is %s", f.Artifact, p, here))
	}
	t, err := artifact.Find(h.Files, h.Abs(f.Artifact.Path))
	if err != nil {
		return nil, fmt.Errorf("cannot measure %s: %w", f.Artifact.Name, artifact.Plainly(err))
	}
	there := r.Path
	for {
		_, err := h.Files.Stat(there)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || there == "/" {
			break
		}
		there = filepath.Dir(there)
	}
	if err := r.Room(there, t.Room()*int64(f.Copies), len(t.Entries)*f.Copies); err != nil {
		what := fmt.Sprintf("%d copies of %s do", f.Copies, f.Artifact.Name)
		if f.Copies == 1 {
			what = f.Artifact.Name + " does"
		}
		problems = append(problems, fmt.Sprintf("%s not fit under %s: %v", what, r.Path, err))
	}
	return problems, nil
}
