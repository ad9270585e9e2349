//go:build !windows

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
)

// holding is what "runner hold" says to programs.
type holding struct {
	Environment string        `json:"environment"`
	Hold        *journal.Hold `json:"hold"` // null where nobody holds it
}

// holdTarget is "runner hold ENVIRONMENT [--until TIME] [REASON]".
func (p *program) holdTarget(f flags, args []string) (int, error) {
	if len(args) == 0 {
		return 0, &usage{"hold wants an environment and a reason", `runner hold production --until 2h "database migration"`}
	}
	name, why := args[0], strings.Join(strings.Fields(strings.Join(args[1:], " ")), " ")
	until, err := p.until(f.Until)
	switch {
	case err != nil:
		return 0, err
	case why == "" && (f.Until != "" || len(args) > 1):
		return 0, &usage{"hold wants a reason: it is what everybody is told who may not deploy", fmt.Sprintf("runner hold %s %q", name, "database migration")}
	}
	home, was, err := p.held(f, name)
	if err != nil {
		return 0, err
	}
	now := p.now().UTC().Truncate(time.Second)
	standing := was != nil && !was.Over(now)
	if why == "" {
		if !standing {
			was = nil
		}
		return 0, p.showHold(f, name, was, "")
	}
	h := &journal.Hold{Who: p.owner("hold").User, Why: why, Since: now, Until: until}
	if standing && was.Who != h.Who {
		return 0, op.Hint(&op.Refused{Why: fmt.Sprintf("%s is held already %s", name, was.Text(now))}, "runner unhold %s ends that hold", name)
	}
	if err := home.SwapHold(context.Background(), was, h); err != nil {
		return 0, cannotHold("hold", name, err)
	}
	more := "a run that has begun goes on; the next one is refused\n"
	if standing {
		more += "in place of the hold " + was.Text(now) + "\n"
	}
	return 0, p.showHold(f, name, h, more)
}

// unholdTarget is "runner unhold ENVIRONMENT".
func (p *program) unholdTarget(f flags, args []string) (int, error) {
	if len(args) != 1 {
		return 0, &usage{"unhold wants one environment", "usage: runner unhold ENVIRONMENT"}
	}
	name := args[0]
	home, was, err := p.held(f, name)
	if err != nil {
		return 0, err
	}
	if err := home.SwapHold(context.Background(), was, nil); err != nil {
		return 0, cannotHold("unhold", name, err)
	}
	more := ""
	if was != nil {
		more = "it was " + was.Text(p.now()) + "\n"
	}
	return 0, p.showHold(f, name, nil, more)
}

// held finds an environment's home, and the hold on it.
func (p *program) held(f flags, name string) (journal.Home, *journal.Hold, error) {
	s, target, err := p.environment(f, name)
	if err != nil {
		return nil, nil, err
	}
	_, home, err := s.home(target)
	if err != nil {
		return nil, nil, err
	}
	was, err := home.Hold(context.Background())
	var unreadable *journal.Unreadable
	if errors.As(err, &unreadable) {
		err = op.Hint(fmt.Errorf("%s may be held: %w", name, err), "nobody knows who holds it: read %s, and move it away when it means nothing", unreadable.Where)
	}
	return home, was, err
}

func cannotHold(what, name string, err error) error {
	err = fmt.Errorf("cannot %s %s: %w", what, name, err)
	if errors.Is(err, journal.ErrHoldChanged) {
		return op.Hint(err, "runner hold %s shows it", name)
	}
	return err
}

// showHold prints a hold, nil for none, and what else people should know.
func (p *program) showHold(f flags, name string, h *journal.Hold, more string) error {
	text := name + " is not held\n"
	if h != nil {
		text = fmt.Sprintf("%s is held %s\n", name, h.Text(p.now()))
	}
	if f.Output == "json" {
		b, err := json.Marshal(holding{name, h})
		if err != nil {
			return err
		}
		text, more = string(b)+"\n", ""
	}
	_, err := fmt.Fprint(p.stdout, text, more)
	return err
}

// until reads the end of a hold: a duration from now, or a time.
func (p *program) until(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	var d op.Duration
	now := p.now().UTC().Truncate(time.Second)
	if d.UnmarshalText([]byte(text)) == nil && d > 0 {
		return now.Add(d.D()), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return t, &usage{fmt.Sprintf("--until: want a duration such as 2h, or a time such as %s, got %q", now.Add(2*time.Hour).Format(time.RFC3339), text), ""}
	case !t.After(now):
		return t, &usage{fmt.Sprintf("--until: %s has passed: it is %s", text, now.Format(time.RFC3339)), "Z is UTC; another zone is such as +01:00"}
	}
	return t.UTC(), nil
}
