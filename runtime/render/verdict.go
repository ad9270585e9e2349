package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/erlmcp/runner/runtime/event"
)

// Bounds that keep a failure on one screen.
const (
	firstOfError = 16 // lines of the error: what it says first
	lastOfError  = 12 // and what a program said last
	maxEvidence  = 12 // lines of each piece of evidence, its last ones
)

func (p *plain) runFailed(f event.RunFailed) {
	p.announceAll()
	p.hint = f.Hint
	where := ""
	if f.At != "" {
		where = clean(f.At) + ": "
	}
	for i, l := range p.ends(slices.Collect(lines(f.Error))) {
		if i == 0 {
			p.line("%s: %s%s", p.red("failed"), where, clean(l))
		} else {
			p.line("  %s", clean(l))
		}
	}
	if f.Excerpt != "" {
		for l := range lines(f.Excerpt) {
			p.line("  %s", clean(l))
		}
	}
	if f.Fault != "" {
		p.line("  this is a fault of runner itself, %s", clean(f.Fault))
	}
	if p.style.Verbose && f.Backtrace != "" {
		for l := range lines(f.Backtrace) {
			p.line("  backtrace: %s", clean(l))
		}
	}
	if p.command == "plan" {
		p.hints() // no verdict follows
	}
}

func (p *plain) evidence(f event.EvidenceFound) {
	p.line("evidence of %s: %s", clean(f.Op), clean(f.Title))
	for _, l := range p.last(slices.Collect(lines(f.Text))) {
		p.line("  %s | %s", clean(f.Op), clean(l))
	}
}

// ends keeps the first and the last lines of an error, and says how many it left out.
func (p *plain) ends(text []string) []string {
	over := len(text) - firstOfError - lastOfError
	if over <= 0 || p.style.Verbose {
		return text
	}
	return slices.Concat(text[:firstOfError], []string{fmt.Sprintf("(%s left out, shown by -v)", count(over, "line"))}, text[len(text)-lastOfError:])
}

// last keeps the last lines of a piece of evidence, and says how many it left out.
func (p *plain) last(text []string) []string {
	over := len(text) - maxEvidence
	if over <= 0 || p.style.Verbose {
		return text
	}
	return append([]string{fmt.Sprintf("(%s before, shown by -v)", count(over, "line"))}, text[over:]...)
}

func (p *plain) runFinished(f event.RunFinished) {
	p.announceAll()
	if p.command == "plan" && (f.Exit == 0 || f.Exit == 3) {
		return // PlanEnded has said it
	}
	p.line("verdict: %s", p.outcome(f))
	if f.Exit == 0 && !p.style.Verbose {
		f.Finals = nil // they did what the run was for
	}
	for _, s := range sentences(f) {
		p.line("verdict: %s", clean(s))
	}
	p.hints()
}

// hints says what to do about the failure.
func (p *plain) hints() {
	if p.hint != "" {
		for l := range lines(p.hint) {
			p.line("hint: %s", clean(l))
		}
	}
}

// outcome is the exit code, in words.
func (p *plain) outcome(f event.RunFinished) string {
	text := meaning(f)
	end := fmt.Sprintf(" in %s (exit %d)", seconds(f.Seconds), f.Exit)
	word, rest, _ := strings.Cut(text, "; ")
	if rest != "" {
		rest = "; " + rest
	}
	switch {
	case f.Exit == 0:
		word = p.green(word)
	case f.Exit == 11 || f.Exit == 70 || f.Exit == 1 || f.Exit == 2 || f.Exit == 10:
		word = p.red(word)
	default:
		word = p.yellow(word)
	}
	return word + end + clean(rest)
}

func meaning(f event.RunFinished) string {
	switch f.Exit {
	case 0:
		return done(f)
	case 1:
		return "failed; nothing is changed"
	case 2:
		return "failed; the call or the script is wrong, and nothing is changed"
	case 10:
		return "failed; every change is taken back"
	case 11:
		return "failed; something is not as it was"
	case 12:
		return "failed; this came after the commit, so the new version stays"
	case 13:
		return "failed; --no-undo leaves everything as it is"
	case 17:
		return "stopped; the lease is " + or(prefixed("held by ", f.HeldBy), "lost to another run")
	case 18:
		return "refused; nothing is changed"
	case 70:
		return "failed; runner itself is at fault"
	case 130, 143:
		return "interrupted; nothing is changed"
	}
	return "failed"
}

func done(f event.RunFinished) string {
	switch {
	case f.Message != "":
		return "done; " + f.Message
	case f.Changed == 0:
		return "done; nothing is changed"
	}
	return "done; " + count(f.Changed, "change") + " made"
}

// sentences are the rest of the verdict: what serves, what was undone, what differs, which Finals ran.
func sentences(f event.RunFinished) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if f.Interrupted && f.Exit < 128 {
		say("the run was asked to stop")
	}
	if text := serves(f); text != "" {
		say("%s", text)
	}
	if f.Undone < f.Changed && (f.Exit == 11 || f.Exit == 17 || f.Exit == 70) {
		say("%d of %s taken back", f.Undone, count(f.Changed, "change"))
	}
	for _, d := range f.Differs {
		say("not as it was: %s", d)
	}
	for _, final := range f.Finals {
		if !slices.ContainsFunc(f.Differs, func(d string) bool { return strings.HasPrefix(d, final) }) {
			say("ran, and cannot be taken back: %s", final)
		}
	}
	if f.Unfinished {
		say("the next run on this target goes on with the undo")
	}
	return out
}

// serves is such as "000041 serves and is healthy; 000042 was wanted".
func serves(f event.RunFinished) string {
	text := f.Live
	switch {
	case f.Live != "" && f.Healthy != nil && *f.Healthy:
		text += " serves and is healthy"
	case f.Live != "" && f.Healthy != nil:
		text += " serves and is not healthy"
	case f.Live != "":
		text += " serves"
	case f.Healthy != nil && *f.Healthy:
		text = "what serves is healthy"
	case f.Healthy != nil:
		text = "what serves is not healthy"
	case f.Wanted != "" && f.Exit != 0:
		text = "what serves is not known"
	}
	if f.Wanted != "" && f.Wanted != f.Live && text != "" {
		text += "; " + f.Wanted + " was wanted"
	}
	return text
}
