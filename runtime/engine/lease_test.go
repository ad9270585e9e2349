package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/journal"
)

// distant is a home whose every answer takes a second.
type distant struct {
	journal.Home
	runs int
	lost string // a run whose log cannot be read
}

func (d distant) Logs(context.Context) (runs []string, err error) {
	for i := range d.runs {
		runs = append(runs, fmt.Sprintf("run-%d", i))
	}
	return runs, nil
}

func (d distant) Read(ctx context.Context, run string) ([]event.Record, error) {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if run == d.lost {
		return nil, errBoom
	}
	var n int64
	fmt.Sscanf(run, "run-%d", &n)
	return []event.Record{{Run: run, Fact: event.LeaseTaken{Target: "t", Turn: 100 - n}}}, nil
}

// The undo logs of a target are read side by side, and still come in the order of their turns.
func TestLogsAreReadSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		states, err := logsOf(t.Context(), distant{runs: 20})
		if took := time.Since(begun); took != 3*time.Second || err != nil || len(states) != 20 {
			t.Errorf("%d logs in %s, %v", len(states), took, err)
		}
		for i, s := range states {
			if s.Turn != int64(81+i) || s.Run != fmt.Sprintf("run-%d", 19-i) {
				t.Errorf("%d is %s of turn %d", i, s.Run, s.Turn)
			}
		}
		if _, err := logsOf(t.Context(), distant{runs: 20, lost: "run-3"}); !errors.Is(err, errBoom) {
			t.Errorf("one that cannot be read: %v", err)
		}
	})
}
