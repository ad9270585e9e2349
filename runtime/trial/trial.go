// Package trial runs the tests of scripts: each in a world of its own, in which the engine is the real one and every op
// is stood in for. It knows what changes are in effect because their ops said so, and believes their inverses: what an
// op does to a machine is for the op's own tests.
package trial

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/script"
)

// Config is what tests run with.
type Config struct {
	Project *script.Project
	Options script.Options
	Target  func(target any) (id string, err error) // of an environment's target
	Clock   host.Clock                              // the machine's, for how long a test takes

	Started func(test string) // called before each test
	Ended   func(Test)        // and behind it
}

// File is what became of a file of tests.
type File struct {
	Name    string
	Mistake *script.Report // why it could not be loaded; nil where it was
	Tests   []Test
	Seconds float64
}

// Failed counts the tests that failed.
func (f File) Failed() int {
	n := 0
	for _, t := range f.Tests {
		if t.Failure != nil {
			n++
		}
	}
	return n
}

// Test is what became of a test.
type Test struct {
	Name    string
	Seconds float64
	Kills   int      // how often kill_everywhere killed
	Said    []string // what the test itself printed, with its places
	Failure *Failure
}

// Failure is why a test failed, and the runs that led there.
type Failure struct {
	Report script.Report
	Runs   []Run
}

// Run is a run of a failed test.
type Run struct {
	Name string
	script.Ran
}

// File runs the tests of a file, those whose names only matches; nil for all.
func (c *Config) File(ctx context.Context, name string, only *regexp.Regexp) File {
	begun := c.Clock.Now()
	out := File{Name: name}
	suite, err := script.OpenTests(ctx, c.Project, name, c.Options)
	if err != nil {
		r := script.Diagnose(err)
		out.Mistake = &r
		return out
	}
	for _, test := range suite.Tests() {
		if only != nil && !only.MatchString(test) {
			continue
		}
		c.Started(test)
		t := c.test(ctx, suite, test)
		c.Ended(t)
		out.Tests = append(out.Tests, t)
	}
	out.Seconds = c.Clock.Now().Sub(begun).Seconds()
	return out
}

// test runs one test, and again for every moment at which it wants its run killed.
func (c *Config) test(ctx context.Context, suite *script.Suite, name string) Test {
	begun := c.Clock.Now()
	out := Test{Name: name}
	first, failure := c.once(ctx, suite, name, kill{})
	var found []finding
	for at := 1; failure == nil && at <= first.kill.moments; at++ {
		out.Kills++
		var w *world
		w, failure = c.once(ctx, suite, name, kill{at: at, complete: first.kill.complete})
		found = append(found, w.kill.found...)
	}
	out.Said = first.said
	if failure == nil && len(found) > 0 {
		failure = &Failure{Report: reported(suite, found, out.Kills)}
	}
	out.Failure, out.Seconds = failure, c.Clock.Now().Sub(begun).Seconds()
	return out
}

// once calls a test in a fresh world.
func (c *Config) once(ctx context.Context, suite *script.Suite, name string, k kill) (*world, *Failure) {
	w, err := newWorld(c)
	if err != nil {
		return w, &Failure{Report: script.Report{Message: err.Error()}}
	}
	w.kill = k
	if err = suite.Test(ctx, name, w); err == nil || errors.Is(err, script.Enough) {
		return w, nil
	}
	f := &Failure{Report: suite.Diagnose(err)}
	if w.kill.met != "" {
		f.Report.Message = "killed " + w.kill.met + ": " + f.Report.Message
	}
	for _, r := range w.runs {
		f.Runs = append(f.Runs, Run{r.name, r.ran})
	}
	return w, f
}

// reported tells of each op that is at fault once, however many kills show it.
func reported(suite *script.Suite, found []finding, kills int) script.Report {
	var all []script.Report
	index, times := map[string]int{}, map[string]int{}
	for _, f := range found {
		key := f.at + f.text
		if times[key]++; times[key] > 1 {
			continue
		}
		index[key] = len(all)
		all = append(all, script.Report{Message: "killed " + f.moment + ": " + f.text, At: f.at, Hint: f.hint, Excerpt: suite.Excerpt(f.at)})
	}
	for key, i := range index {
		all[i].Message += fmt.Sprintf(" (%d of %d kills)", times[key], kills)
	}
	all[0].More = all[1:]
	return all[0]
}
