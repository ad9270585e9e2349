package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/script"
	"github.com/erlmcp/runner/stdlib"
)

var expectedError = regexp.MustCompile(`### ("(?:[^"\\]|\\.)*")`)

// TestCheckSaysWhatARunWouldSay holds the check against every call that the families' chunks expect an error of, or
// none: it never says what a run would not, and it finds most.
func TestCheckSaysWhatARunWouldSay(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "builtins", "*", "testdata", "*.star"))
	if err != nil || len(files) == 0 {
		t.Fatal("there are no chunks", err)
	}
	all := families(t)
	wrong, found := 0, 0
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for chunk := range strings.SplitSeq(string(src), "---\n") {
			if strings.Contains(chunk, "def ") {
				f, w := heldAgainst(t, file, all, chunk)
				found, wrong = found+f, wrong+w
				continue
			}
			for l := range strings.Lines(chunk) {
				if l = strings.TrimSpace(l); l != "" && l[0] != '#' {
					f, w := heldAgainst(t, file, all, "def main():\n    "+l+"\n")
					found, wrong = found+f, wrong+w
				}
			}
		}
	}
	t.Logf("%d of %d mistakes show without running", found, wrong)
	if found*10 < wrong*9 {
		t.Errorf("only %d of %d mistakes show without running", found, wrong)
	}
}

// heldAgainst checks a chunk, and counts what it should find and does.
func heldAgainst(t *testing.T, file string, all []builtin.Family, src string) (found, wrong int) {
	want := ""
	if m := expectedError.FindStringSubmatch(src); m != nil {
		var err error
		if want, err = strconv.Unquote(m[1]); err != nil {
			t.Fatal(m[1], err)
		}
		wrong = 1
	}
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
	got, err := script.Check(t.Context(), p, []string{"deploy.star"}, script.Options{Families: all[:len(all)-1]}, &flags{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range got.Mistakes {
		if want == "" {
			t.Errorf("%s: the check says what a run does not: %s%s", file, m, src)
		} else if strings.Contains(m.Message, want) {
			found = 1
		}
	}
	if len(got.Mistakes) > 0 && want != "" && found == 0 {
		t.Errorf("%s: the check says %swant %s\n%s", file, got.Mistakes[0], want, src)
	}
	return found, wrong
}
