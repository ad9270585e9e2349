package build

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/erlmcp/runner/runtime/host"
)

// outcome is what came of tests.
type outcome struct {
	passed, skipped, failed int
	failures                []failure // the first of them
}

type failure struct{ name, reason string }

const (
	named  = 10  // failures that an error names
	reason = 160 // runes of a failure's reason
)

var errNoTests = errors.New("no result of tests is to be found")

func (o *outcome) add(more outcome) {
	o.passed += more.passed
	o.skipped += more.skipped
	o.failed += more.failed
	o.failures = append(o.failures, more.failures...)
}

// fail keeps a failure; its reason becomes one line.
func (o *outcome) fail(name, why string) {
	text := []rune(strings.Join(strings.Fields(why), " "))
	if len(text) > reason {
		text = append(text[:reason-1], '…')
	}
	o.failures = append(o.failures, failure{name, string(text)})
}

// failure is "3 of 57 tests failed" with the first of them below, on one screen.
func (o outcome) failure() error {
	var b strings.Builder
	for i, f := range o.failures {
		if i == named {
			break
		}
		b.WriteString("\n  " + f.name)
		if f.reason != "" {
			b.WriteString(": " + f.reason)
		}
	}
	if left := o.failed - min(named, len(o.failures)); left > 0 {
		fmt.Fprintf(&b, "\n  and %d more", left)
	}
	all, tests := o.failed+o.passed+o.skipped, "tests"
	if all == 1 {
		tests = "test"
	}
	return fmt.Errorf("%d of %d %s failed%s", o.failed, all, tests, b.String())
}

var (
	colour   = regexp.MustCompile("\x1b\\[[0-9;]*m")
	progress = regexp.MustCompile(`(?m)^(\d+) tests, (\d+) failures(?:, (\d+) skipped)?(?:, (\d+) cancelled)?`)
	verbose  = regexp.MustCompile(`(?m)^  Failed: (\d+)\.  Skipped: (\d+)\.  Passed: (\d+)\.`)
	allWell  = regexp.MustCompile(`(?m)^  (?:All (\d+) tests|(?:Test|(\d+) tests?)) passed\.`)
	heading  = regexp.MustCompile(`^  (?:\d+\) )?(\S.*?)(?:: module '.*')?$`)
)

// eunit reads what rebar3 eunit prints: the failures, and the counts at its end.
func eunit(text string) (o outcome, err error) {
	text = colour.ReplaceAllString(text, "")
	if m := progress.FindStringSubmatch(text); m != nil {
		n := numbers(m[1:])
		o.failed, o.skipped = n[1]+n[3], n[2]
		o.passed = n[0] - o.failed - o.skipped
	} else if m := verbose.FindStringSubmatch(text); m != nil {
		n := numbers(m[1:])
		o.failed, o.skipped, o.passed = n[0], n[1], n[2]
	} else if m := allWell.FindStringSubmatch(text); m != nil {
		o.passed = max(1, numbers(m[1:])[0])
	} else {
		return o, errNoTests
	}
	_, blocks, _ := strings.Cut(text, "\nFailures:\n")
	if blocks == "" {
		_, blocks, _ = strings.Cut(text, "\nPending:\n")
	}
	name, why := "", ""
	for line := range strings.Lines(blocks) {
		line = strings.TrimRight(line, "\n")
		m := heading.FindStringSubmatch(line)
		switch t := strings.TrimSpace(line); {
		case m != nil || strings.HasPrefix(line, "Finished in "):
			if name != "" {
				o.fail(name, why)
			}
			if m == nil {
				return o, nil
			}
			name, why = m[1], ""
		case strings.HasPrefix(t, "%%") && !strings.Contains(t, "error:"), strings.HasPrefix(t, "Output:"), t == "Pending:":
		default:
			t = strings.TrimPrefix(strings.TrimPrefix(t, "Failure/Error: "), "%% Unknown error: ")
			why += t + " "
		}
	}
	return o, nil
}

func numbers(texts []string) []int {
	out := make([]int, len(texts))
	for i, t := range texts {
		out[i], _ = strconv.Atoi(t)
	}
	return out
}

// commonTest reads the logs that ct writes for programs, one for each application with suites.
func commonTest(f host.FS, dir string) (o outcome, err error) {
	logs, err := find(f, dir, "suite.log", 4)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(logs) == 0 {
		return o, errNoTests
	}
	for _, name := range logs {
		var b []byte
		if err == nil {
			b, err = host.ReadFile(f, name, 64<<20)
		}
		o.suites(string(b))
	}
	if err != nil {
		return o, fmt.Errorf("cannot read the logs of ct: %w", err)
	}
	return o, nil
}

// find is the files of a name, so many folders deep at most.
func find(f host.FS, dir, name string, deep int) (out []string, err error) {
	entries, err := f.ReadDir(dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir() && deep > 0:
			var below []string
			if below, err = find(f, path, name, deep-1); err != nil {
				return nil, err
			}
			out = append(out, below...)
		case e.Name() == name:
			out = append(out, path)
		}
	}
	return out, err
}

var configures = regexp.MustCompile(`:(init|end)_per_(suite|group)$`)

// suites reads one suite.log: lines such as "=case bad_SUITE:b", then "=result failed: ...", which goes on until the next
// line that begins with "=".
func (o *outcome) suites(text string) {
	name, result := "", ""
	settle := func() {
		word, why, _ := strings.Cut(result, ":")
		counts := !configures.MatchString(name)
		switch {
		case name == "" || result == "":
		case word == "failed":
			o.failed++
			o.fail(name, strings.TrimSpace(why))
		case strings.HasSuffix(word, "skipped") && counts:
			o.skipped++
		case strings.HasPrefix(word, "ok") && counts:
			o.passed++
		}
		result = ""
	}
	for line := range strings.Lines(text) {
		field, value, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		switch {
		case field == "=case":
			settle()
			name = strings.TrimSpace(value)
		case field == "=result":
			result = strings.TrimSpace(value)
		case strings.HasPrefix(line, "="):
			settle()
		case result != "":
			result += " " + line
		}
	}
	settle()
}
