package render

import (
	"fmt"

	"github.com/erlmcp/runner/runtime/event"
)

func (p *plain) recoveryStarted(f event.RecoveryStarted) {
	p.recover = f.Dead
	what := ""
	if f.What != "" {
		what = " (" + clean(f.What) + ")"
	}
	if !p.style.Quiet {
		p.line("recover %s: its run ended unfinished%s; its changes to %s are taken back first", clean(f.Dead), what, clean(f.Target))
	}
}

func (p *plain) recoveryFinished(f event.RecoveryFinished) {
	p.recover = ""
	serves := ""
	if f.Live != "" {
		serves = "; " + clean(f.Live) + " serves"
	}
	switch {
	case !f.Complete:
		p.line("recover %s: %s, %s is not as it was%s", clean(f.Dead), p.red("incomplete"), clean(f.Target), serves)
	case !p.style.Quiet:
		p.line("recover %s: %s, %s is settled%s", clean(f.Dead), p.green("done"), clean(f.Target), serves)
	}
}

// opUndone shows how one inverse ended. In a recovery the positions are those of the dead run.
func (p *plain) opUndone(f event.OpUndone) {
	word := "undo"
	if p.recover != "" {
		word = "recover"
	}
	head := fmt.Sprintf("%s %s %s", word, clean(f.Op), clean(f.Name))
	switch f.Outcome {
	case event.Restored:
		p.well("%s: %s%s", head, p.green("restored"), after(f.Summary))
	case event.Already:
		p.well("%s: %s, nothing to put back", head, p.green("already as it was"))
	case event.Passed:
		p.well("%s: %s%s", head, p.green("passed"), after(f.Summary))
	case event.Conflict:
		p.line("%s: %s: %s has been changed by something else and is left alone", head, p.red("conflict"), clean(or(f.Detail, f.Summary)))
		p.line("  %s wanted: %s", clean(f.Op), clean(f.Wanted))
		p.line("  %s found:  %s", clean(f.Op), clean(f.Found))
	case event.Final:
		p.line("%s: %s: %s", head, p.yellow("cannot be taken back"), clean(f.Detail))
	case event.Broken:
		p.block(f.Op, fmt.Sprintf("%s: %s", head, p.red("does not hold")), f.Detail)
	default:
		p.block(f.Op, fmt.Sprintf("%s: %s", head, p.red(clean(string(f.Outcome)))), f.Detail)
	}
}

// well writes what quiet output leaves out.
func (p *plain) well(format string, args ...any) {
	if !p.style.Quiet {
		p.line(format, args...)
	}
}

// block writes a head with the first line of a text, then the others below it.
func (p *plain) block(op, head, text string) {
	rest := false
	for l := range lines(text) {
		if !rest {
			p.line("%s: %s", head, clean(l))
		} else {
			p.line("  %s | %s", clean(op), clean(l))
		}
		rest = true
	}
	if !rest {
		p.line("%s", head)
	}
}
