package smoke

import (
	"context"
	"fmt"
	"sync"

	"github.com/erlmcp/runner/builtins/body"
	"github.com/erlmcp/runner/runtime/op"
)

// beside is how many tests run at a time.
const beside = 8

// runAll runs the tests, and shows each outcome in the order given. Its error is never a test's: the run is to stop.
func runAll(ctx context.Context, w world, tests []Test, within op.Duration) (Result, error) {
	out := op.Output(ctx)
	defer out.Close()
	start := w.h.Clock.Now()
	op.Waiting(ctx, count(len(tests), "smoke test"), start.Add(within.D()))
	limited, cancel := w.h.Clock.Timeout(ctx, within.D(), fmt.Errorf("the tests are not done within %s", within))
	defer cancel()
	r := Result{}
	for _, o := range outcomes(limited, w, tests) {
		if o := <-o; ctx.Err() == nil {
			fmt.Fprintln(out, o)
			r.add(o)
		}
	}
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	r.Took = rounded(w.h.Clock.Now().Sub(start))
	fmt.Fprintln(out, r.summary())
	return r, nil
}

func (r *Result) add(o Outcome) {
	r.Tests = append(r.Tests, o)
	switch {
	case o.Passed:
		r.Passed++
	case o.Optional:
		r.OptionalFailed++
	default:
		r.Failed++
	}
}

// outcomes gives what becomes of each test: of those that bear company side by side, then of the others one by one.
func outcomes(ctx context.Context, w world, tests []Test) []chan Outcome {
	done := make([]chan Outcome, len(tests))
	room := make(chan struct{}, beside)
	var company sync.WaitGroup
	for i, t := range tests {
		done[i] = make(chan Outcome, 1)
		if t.alone() {
			continue
		}
		company.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			done[i] <- outcome(ctx, w, t)
		})
	}
	go func() { // ends before the last outcome is taken
		company.Wait()
		for i, t := range tests {
			if t.alone() {
				done[i] <- outcome(ctx, w, t)
			}
		}
	}()
	return done
}

func outcome(ctx context.Context, w world, t Test) Outcome {
	start := w.h.Clock.Now()
	v := t.try(ctx, w)
	scrub := w.h.Secrets.Scrubber.String
	return Outcome{
		Name: body.Printable(t.title(), 100), Passed: v.good, Optional: !t.must(), Took: rounded(w.h.Clock.Now().Sub(start)),
		Expected: scrub(v.expected), Got: scrub(v.got),
	}
}
