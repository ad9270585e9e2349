package builtins

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/script"
	"github.com/erlmcp/runner/stdlib"
)

var expectation = regexp.MustCompile(`### ("(?:[^"\\]|\\.)*")`)

// TestChunks runs the scripts of each family's testdata/*.star, which are parted by ---. A comment such as ### "text"
// says which error its line ends with, a text in it; a chunk without one ends well. No op is performed: these are the
// errors of calls.
func TestChunks(t *testing.T) {
	for _, f := range Families(&host.Host{}, nil, nil) {
		files, err := filepath.Glob(filepath.Join(f.Name, "testdata", "*.star"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s has no chunks: %v", f.Name, err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			line := 1
			for chunk := range strings.SplitSeq(string(src), "---\n") {
				t.Run(fmt.Sprintf("%s:%d", file, line), func(t *testing.T) { chunked(t, chunk) })
				line += strings.Count(chunk, "\n") + 1
			}
		}
	}
}

// lines are single statements, each a main of its own: what most chunks are.
func chunked(t *testing.T, chunk string) {
	if strings.Contains(chunk, "def ") {
		runChunk(t, chunk)
		return
	}
	for l := range strings.Lines(chunk) {
		if l = strings.TrimSpace(l); l != "" && l[0] != '#' {
			t.Run(l, func(t *testing.T) { runChunk(t, "def main():\n    "+l+"\n") })
		}
	}
}

func runChunk(t *testing.T, src string) {
	at, want := "", ""
	for i, l := range strings.Split(src, "\n") {
		if m := expectation.FindStringSubmatch(l); m != nil {
			var err error
			if want, err = strconv.Unquote(m[1]); err != nil {
				t.Fatal(m[1], err)
			}
			at = fmt.Sprintf("deploy.star:%d:", i+1)
		}
	}
	err := perform(t, src)
	if err == nil || want == "" {
		if err != nil || want != "" {
			t.Errorf("want %q, got %v", want, err)
		}
		return
	}
	if r := script.Diagnose(err); !strings.Contains(r.Message, want) || !strings.HasPrefix(r.At, at) {
		t.Errorf("got %swant %s %s", r, at, want)
	}
}

// perform runs a script whose ops do nothing and give empty results.
func perform(t *testing.T, src string) error {
	dir := t.TempDir()
	for name, text := range map[string]string{"environments.star": "", "deploy.star": src} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := script.FindProject(dir, fstest.MapFS{}, stdlib.FS)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s, err := script.Open(t.Context(), p, "deploy.star", script.Options{Families: Families(&host.Host{}, nil, nil)})
	if err != nil {
		return err
	}
	call, err := s.Parse(nil, nil)
	if err != nil {
		return err
	}
	return s.Main(t.Context(), idle{}, call)
}

// idle is a run in which nothing happens.
type idle struct{ script.Run }

func (idle) Perform(_ context.Context, o op.Bound) (any, error) {
	return reflect.Zero(o.Result).Interface(), nil
}

func (idle) Print(string, string) {}
