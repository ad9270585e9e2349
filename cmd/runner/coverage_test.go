package main

import (
	"bufio"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/script"
	"github.com/erlmcp/runner/scripts"
	"github.com/erlmcp/runner/stdlib"
)

// leastCovered is the part of each script's lines that its tests must run, in percent.
const leastCovered = 90

// said is a line of "runner test --output json".
type said struct {
	Event, File, Test, Error, At, Hint string
	OK                                 bool
	Lines, Covered                     int
	Never                              []int
}

// TestStandardScripts runs the tests of the library and of the standard scripts, as they are embedded, in a folder that
// has neither a project nor an environment, and wants nearly every line of each file to run.
func TestStandardScripts(t *testing.T) {
	args, want := []string{"test", "-cover", "--output", "json", "@std"}, map[string]bool{}
	for prefix, fsys := range map[string]fs.FS{"@std/": stdlib.FS, "": scripts.FS} {
		entries, err := fs.ReadDir(fsys, ".")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			switch {
			case script.IsTest(e.Name()) && prefix == "":
				args = append(args, e.Name())
			case !script.IsTest(e.Name()) && e.Name() != "environments.star" && !e.IsDir():
				want[prefix+e.Name()] = true
			}
		}
	}
	code, lines := testJSON(t, args)
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	tests := 0
	for _, l := range lines {
		switch {
		case l.Event == "test":
			tests++
			fallthrough
		case l.Event == "file":
			if !l.OK && (l.Error != "" || l.Event == "test") {
				t.Errorf("%s %s: %s: %s (%s)", l.File, l.Test, l.At, l.Error, l.Hint)
			}
		case l.Event == "coverage" && want[l.File]:
			delete(want, l.File)
			if 100*l.Covered < leastCovered*l.Lines {
				t.Errorf("%s: tests run %d of %d lines, want %d%%; never run: %s", l.File, l.Covered, l.Lines, leastCovered, ranges(l.Never))
			}
		}
	}
	for name := range want {
		t.Errorf("%s: no test runs a line of it", name)
	}
	if tests < 40 {
		t.Errorf("only %d tests ran", tests)
	}
}

// testJSON runs the program in an empty folder.
func testJSON(t *testing.T, args []string) (int, []said) {
	t.Helper()
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := &program{args: args, dir: dir, stdin: os.Stdin, stdout: out, stderr: os.Stderr, now: host.SystemClock{}.Now,
		wrap: func(h *host.Host) *host.Host { return h }}
	code := p.run()
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	var lines []said
	for s := bufio.NewScanner(strings.NewReader(string(text))); s.Scan(); {
		var l said
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", s.Text(), err)
		}
		lines = append(lines, l)
	}
	return code, lines
}

// TestRanges holds how lines are listed.
func TestRanges(t *testing.T) {
	for want, lines := range map[string][]int{"": nil, "3": {3}, "3, 7-9": {3, 7, 8, 9}, "1-2, 4-5": {1, 2, 4, 5}} {
		if got := ranges(lines); got != want {
			t.Errorf("%v: got %q, want %q", lines, got, want)
		}
	}
}
