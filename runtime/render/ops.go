package render

import (
	"fmt"
	"slices"
	"time"

	"github.com/erlmcp/runner/runtime/event"
)

// opState is what is remembered of an op while it runs.
type opState struct {
	start event.OpStarted
	shown bool
	wait  event.OpWaiting // the last one shown
	spoke time.Time       // when its last line was shown
	tail  []string        // its last lines, where output is not shown
}

// maxTail is how many of its last lines of output a failed op shows in quiet output.
const maxTail = 10

// progressEvery is how often a busy op's progress is a line.
const progressEvery = 5 * time.Second

func (p *plain) opStarted(f event.OpStarted) {
	p.ops[f.Op] = &opState{start: f, spoke: p.at}
	p.order = append(p.order, f.Op)
	if f.Class == "change" || f.Class == "final" {
		p.announce(f.Op)
	}
}

// announce shows that an op has started, once.
func (p *plain) announce(op string) {
	s := p.ops[op]
	if s == nil || s.shown || p.style.Quiet {
		return
	}
	s.shown = true
	p.line("%s %s: %s", clean(op), clean(s.start.Name), clean(s.start.Summary))
	p.params(s.start)
}

func (p *plain) params(f event.OpStarted) {
	if f.At != "" {
		p.detail("  %s at %s", clean(f.Op), clean(f.At))
	}
	if len(f.Params) > 0 {
		p.detail("  %s with %s", clean(f.Op), clean(string(f.Params)))
	}
	switch {
	case len(f.Inverse) > 0:
		p.detail("  %s is taken back by %s", clean(f.Op), clean(string(f.Inverse)))
	case f.NoInverse != "":
		p.detail("  %s is not taken back: %s", clean(f.Op), clean(f.NoInverse))
	}
}

// forget drops an op that has ended, and gives what was remembered of it.
func (p *plain) forget(op string) *opState {
	s := p.ops[op]
	if s == nil {
		return &opState{shown: true}
	}
	delete(p.ops, op)
	p.order = slices.DeleteFunc(p.order, func(o string) bool { return o == op })
	return s
}

// announceAll shows what has started and not ended, so that a failure says what it interrupted.
func (p *plain) announceAll() {
	for _, op := range p.order {
		p.announce(op)
	}
}

// speak is called when an op shows a line of its own; false in quiet output.
func (p *plain) speak(op string) bool {
	if s := p.ops[op]; s != nil {
		s.spoke = p.at
	}
	p.announce(op)
	return !p.style.Quiet
}

func (p *plain) opOutput(f event.OpOutput) {
	if p.speak(f.Op) {
		p.line("  %s | %s", clean(f.Op), clean(redrawn(f.Text)))
		return
	}
	if s := p.ops[f.Op]; s != nil {
		s.tail = append(s.tail[max(0, len(s.tail)-maxTail+1):], f.Text)
	}
}

func (p *plain) opProgress(f event.OpProgress) {
	s := p.ops[f.Op]
	if s == nil || p.at.Sub(s.spoke) < progressEvery || !p.speak(f.Op) {
		return
	}
	p.line("  %s is at %s", clean(f.Op), progress(f))
}

func (p *plain) opWaiting(f event.OpWaiting) {
	if s := p.ops[f.Op]; s != nil {
		if s.wait == f {
			return
		}
		s.wait = f
	}
	if p.speak(f.Op) {
		p.line("  %s %s for %s%s", clean(f.Op), p.yellow("waits"), clean(f.What), p.until(f.Until))
	}
}

func (p *plain) opFinished(f event.OpFinished) {
	s := p.forget(f.Op)
	if p.style.Quiet {
		p.quietly(f, s)
		return
	}
	head := fmt.Sprintf("%s %s", clean(f.Op), clean(f.Name))
	if !s.shown {
		head += ": " + clean(s.start.Summary)
	}
	took := seconds(f.Seconds)
	if f.Error == "" {
		p.line("%s -> %s %s", head, p.green("ok"), took)
	} else {
		p.line("%s -> %s %s: %s", head, p.red("failed"), took, clean(first(f.Error)))
	}
	if !s.shown {
		p.params(s.start)
	}
	if len(f.Result) > 0 && string(f.Result) != "null" {
		p.detail("  %s gives %s", clean(f.Op), clean(string(f.Result)))
	}
}

// quietly shows the end of an op that failed: its output was not seen before.
func (p *plain) quietly(f event.OpFinished, s *opState) {
	if f.Error == "" {
		return
	}
	p.line("%s %s -> %s %s: %s", clean(f.Op), clean(f.Name), p.red("failed"), seconds(f.Seconds), clean(first(f.Error)))
	for _, l := range s.tail {
		p.line("  %s | %s", clean(f.Op), clean(redrawn(l)))
	}
}
