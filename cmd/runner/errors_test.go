package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/erlmcp/runner/runtime/host"
)

// masks replace what differs from run to run.
var masks = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d `), ""},
	{regexp.MustCompile(`\b\d{8}t\d{6}-[a-z2-7]{4}\b`), "RUN"},
	{regexp.MustCompile(`\d\d:\d\d:\d\d`), "HH:MM:SS"},
	{regexp.MustCompile(`, \d{4}-\d\d-\d\d UTC, by \S+ on \S+`), ", DAY UTC, by USER on HOST"},
	{regexp.MustCompile(`\bby \S+ since (\d{4}-\d\d-\d\d )?\d\d:\d\d UTC`), "by USER since HH:MM UTC"},
	{regexp.MustCompile(`\buntil (\d{4}-\d\d-\d\d )?\d\d:\d\d UTC`), "until HH:MM UTC"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(ms|s|m\d+s)( \(exit|[:\n])`), "TIME$3"},
	{regexp.MustCompile(`(?m)^(--- \w+: \w+) \(\d+\.\d\ds\)$`), "$1 (TIME)"},
	{regexp.MustCompile(`(?m)^\d+ files, `), "N files, "},
	{regexp.MustCompile(`\bprocess \d+`), "process PID"},
	{regexp.MustCompile(` *\d+ × `), "    N × "},
	{regexp.MustCompile(`(?m)^( +\d+ \|| +N ×) connection refused\n`), ""}, // however long a start takes
	{regexp.MustCompile(`\(\d+ of (\d+) answers\)`), "(N of N answers)"},
}

// screen writes what the last program has said on standard error to the file screen, without what differs from run to
// run, to be compared: cmp screen want. screen stdout takes standard output.
func screen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: screen [stdout]")
	}
	text := ts.ReadFile(append(args, "stderr")[0])
	text = strings.ReplaceAll(text, ts.Getenv("WORK"), "$WORK")
	text = strings.ReplaceAll(text, ts.Getenv("BINS"), "$BINS")
	text = strings.ReplaceAll(text, ":"+ts.Getenv("PORT"), ":PORT")
	for _, m := range masks {
		text = m.from.ReplaceAllString(text, m.to)
	}
	ts.Check(os.WriteFile(ts.MkAbs("screen"), []byte(text), 0o644))
}

// expand copies a file with $NAME replaced by the script's variables: expand project.star environments.star.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: expand FILE TO")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o644))
}

// pid holds which process serves: pid keep remembers it, pid same and pid changed compare.
func pid(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value("site").(*site)
	boot, err := host.BootID()
	ts.Check(err)
	owner, ok := host.Linux{Boot: boot}.PortOwner(s.port)
	switch now := fmt.Sprint(owner.PID); {
	case neg || len(args) != 1:
		ts.Fatalf("usage: pid keep|same|changed")
	case !ok:
		ts.Fatalf("nothing serves")
	case args[0] == "keep":
		ts.Setenv("KEPT_PID", now)
	case (args[0] == "same") != (now == ts.Getenv("KEPT_PID")):
		ts.Fatalf("process %s serves, %s did before", now, ts.Getenv("KEPT_PID"))
	}
}

// occupy listens on a free port, in this process, until the script ends, and names it by a variable: occupy TAKEN.
func occupy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: occupy VARIABLE")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
}

// TestErrorsReadWell holds what every golden of an error has: its place once, at the beginning; no more than a screen;
// and none of the words that say nothing.
func TestErrorsReadWell(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "script", "error_*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	place := regexp.MustCompile(`\b[\w@/]+\.star:\d+:\d+: `)
	seen := 0
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if filepath.Ext(f.Name) != ".want" && filepath.Base(f.Name) != "want" {
				continue
			}
			seen++
			text := string(f.Data)
			first, _, _ := strings.Cut(text, "\n")
			if n := len(place.FindAllString(first, -1)); n > 1 {
				t.Errorf("%s: %s: the place stands %d times in %s", file, f.Name, n, first)
			}
			if strings.TrimSpace(text) == "" || strings.Count(text, "\n") > 24 {
				t.Errorf("%s: %s: want 1 to 24 lines, got %d", file, f.Name, strings.Count(text, "\n"))
			}
			for _, empty := range []string{"failed to", "error:", "Error", "<nil>", "%!", "invalid argument", "goroutine", "\t"} {
				if strings.Contains(text, empty) {
					t.Errorf("%s: %s: it says %q", file, f.Name, empty)
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d errors are held", seen)
	}
}
