//go:build !windows

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/erlmcp/runner/runtime/script"
	"github.com/erlmcp/runner/runtime/trial"
)

// testReport tells of tests as they end: in the words of go test, or a line of JSON for each.
type testReport struct {
	*tested
	to io.Writer

	passed, failed, mistakes int
}

func newTestReport(p *program, t *tested) *testReport { return &testReport{tested: t, to: p.stdout} }

func (r *testReport) say(format string, args ...any) { fmt.Fprintf(r.to, format, args...) }

func (r *testReport) started(name string) {
	if r.Verbose && r.Output != "json" {
		r.say("=== RUN   %s\n", name)
	}
}

func (r *testReport) file(f trial.File) {
	r.passed, r.failed = r.passed+len(f.Tests)-f.Failed(), r.failed+f.Failed()
	if f.Mistake != nil {
		r.mistakes++
	}
	if r.Output == "json" {
		r.fileJSON(f)
		return
	}
	switch {
	case f.Mistake != nil:
		r.say("%sFAIL\t%s [cannot be loaded]\n", indented(f.Mistake.String()), f.Name)
	case f.Failed() > 0:
		r.say("FAIL\t%s\t%.3fs\n", f.Name, f.Seconds)
	case len(f.Tests) > 0:
		r.say("ok  \t%s\t%.3fs\n", f.Name, f.Seconds)
	case r.only == nil:
		r.say("?   \t%s\t[no tests]\n", f.Name)
	case r.Verbose:
		r.say("?   \t%s\t[no tests to run]\n", f.Name)
	}
}

func (r *testReport) test(t trial.Test) {
	if r.Output == "json" {
		return // fileJSON knows the file
	}
	if t.Failure == nil {
		if r.Verbose {
			r.say("--- PASS: %s (%.2fs)\n", t.Name, t.Seconds)
			r.printed(t)
			if t.Kills > 0 {
				r.say("    killed %s, and recovered each time\n", several(t.Kills, "time"))
			}
		}
		return
	}
	r.say("--- FAIL: %s (%.2fs)\n", t.Name, t.Seconds)
	r.printed(t)
	r.say("%s", indented(t.Failure.Report.String()))
	if r.Verbose && t.Failure.Report.Backtrace != "" {
		r.say("%s", indented("backtrace:\n"+indented(t.Failure.Report.Backtrace)))
	}
	runs := t.Failure.Runs
	if over := len(runs) - 1; over > 0 && !r.Verbose {
		r.say("    (%s before, shown by -v)\n", several(over, "run"))
		runs = runs[over:]
	}
	for _, run := range runs {
		r.say("%s", indented(described(run)))
	}
}

// printed is what the test itself printed.
func (r *testReport) printed(t trial.Test) {
	for _, text := range t.Said {
		r.say("%s", indented(text))
	}
}

// described is a run as one who looks for a mistake wants to see it: how it ended, and every op that it called.
func described(run trial.Run) string {
	var b strings.Builder
	verdict, _, _ := strings.Cut(run.Verdict, "\n")
	fmt.Fprintf(&b, "%s: exit %d, %s\n", run.Name, run.Exit, verdict)
	if run.Error != "" {
		fmt.Fprintf(&b, "  failed: %s\n", strings.TrimSuffix(place(run.At)+run.Error, "\n"))
	}
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, c := range run.Calls {
		line := c.Summary
		if c.Error != "" {
			line += ": " + c.Error
		}
		first, _, _ := strings.Cut(line, "\n")
		fmt.Fprintf(w, "  %s\t%s\t%s\n", c.Op, c.At, first)
	}
	for _, u := range run.Undone {
		fmt.Fprintf(w, "  undo\t%s\t%s\n", u.Op, u.Outcome)
	}
	w.Flush()
	return b.String()
}

func place(at string) string {
	if at == "" {
		return ""
	}
	return at + ": "
}

func indented(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight("    "+l, " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// end closes the report and gives the exit code.
func (r *testReport) end() (int, error) {
	if r.passed+r.failed+r.mistakes == 0 {
		if r.only != nil {
			return 0, &usage{fmt.Sprintf("no test matches %q", r.only), "runner test -v lists the tests"}
		}
		return 0, &usage{"there are no tests", "def test_deploys(t): begins one"}
	}
	if r.cover != nil {
		r.coverage(r.cover.Files())
	}
	if r.Output == "json" {
		r.json(map[string]any{"event": "end", "passed": r.passed, "failed": r.failed, "mistakes": r.mistakes, "exit": r.exit()})
	} else if r.exit() != 0 {
		r.say("FAIL\n")
	}
	return r.exit(), nil
}

func (r *testReport) coverage(files []script.Covered) {
	if r.Output == "json" {
		for _, f := range files {
			r.json(map[string]any{"event": "coverage", "file": f.File, "lines": f.Lines, "covered": f.Hit, "never": append([]int{}, f.Never...)})
		}
		return
	}
	r.say("coverage of lines:\n")
	w := tabwriter.NewWriter(r.to, 0, 8, 2, ' ', 0)
	hit, lines := 0, 0
	for _, f := range files {
		hit, lines = hit+f.Hit, lines+f.Lines
		never := ""
		if r.Verbose && len(f.Never) > 0 {
			never = "never: " + ranges(f.Never)
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %s\t%s\t%s", f.File, percent(f.Hit, f.Lines), never), "\t"))
	}
	fmt.Fprintf(w, "  in all\t%s\n", percent(hit, lines))
	w.Flush()
}

func percent(part, whole int) string {
	if whole == 0 {
		return "100.0%"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(whole))
}

// ranges writes line numbers in short: "3, 7-9".
func ranges(lines []int) string {
	var out []string
	for i := 0; i < len(lines); {
		j := i
		for j+1 < len(lines) && lines[j+1] == lines[j]+1 {
			j++
		}
		if out = append(out, fmt.Sprint(lines[i])); j > i {
			out[len(out)-1] += fmt.Sprintf("-%d", lines[j])
		}
		i = j + 1
	}
	return strings.Join(out, ", ")
}

func (r *testReport) json(v any) {
	e := json.NewEncoder(r.to)
	e.SetEscapeHTML(false)
	e.Encode(v) // what cannot be written is not there to be read: the exit code says how it went
}

func (r *testReport) fileJSON(f trial.File) {
	for _, t := range f.Tests {
		line := map[string]any{"event": "test", "file": f.Name, "test": t.Name, "seconds": t.Seconds, "ok": t.Failure == nil}
		if t.Kills > 0 {
			line["kills"] = t.Kills
		}
		if len(t.Said) > 0 {
			line["printed"] = t.Said
		}
		if t.Failure != nil {
			problem(line, t.Failure.Report)
			var runs []map[string]any
			for _, run := range t.Failure.Runs {
				runs = append(runs, runJSON(run))
			}
			line["runs"] = runs
		}
		r.json(line)
	}
	line := map[string]any{"event": "file", "file": f.Name, "seconds": f.Seconds, "tests": len(f.Tests), "ok": f.Mistake == nil && f.Failed() == 0}
	if f.Mistake != nil {
		problem(line, *f.Mistake)
	}
	r.json(line)
}

func problem(line map[string]any, r script.Report) {
	line["error"], line["at"], line["hint"] = r.Message, r.At, r.Hint
	if len(r.More) > 0 {
		var more []map[string]any
		for _, m := range r.More {
			one := map[string]any{}
			problem(one, m)
			more = append(more, one)
		}
		line["more"] = more
	}
}

func runJSON(run trial.Run) map[string]any {
	var calls []map[string]any
	for _, c := range run.Calls {
		calls = append(calls, map[string]any{"op": c.Op, "effect": c.Effect, "at": c.At, "stage": c.Stage, "summary": c.Summary, "error": c.Error})
	}
	var undone []map[string]any
	for _, u := range run.Undone {
		undone = append(undone, map[string]any{"op": u.Op, "outcome": u.Outcome, "detail": u.Detail})
	}
	return map[string]any{"run": run.Name, "exit": run.Exit, "verdict": run.Verdict, "error": run.Error, "at": run.At, "calls": calls, "undone": undone}
}
