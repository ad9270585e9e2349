package render

import (
	"strings"

	"github.com/erlmcp/runner/runtime/event"
)

// opPlanned shows an op that the plan foresees: "6 releases.activate will change: switch /opt/erlmcp to 000042".
func (p *plain) opPlanned(f event.OpPlanned) {
	if p.style.Quiet && f.Class != "change" && f.Class != "final" {
		return
	}
	var will string
	switch f.Class {
	case "change":
		will = p.yellow("will change")
	case "final":
		will = p.red("cannot be taken back")
	case "make":
		will = "will make"
	default:
		will = "will look"
	}
	p.line("%s %s %s: %s%s", clean(f.Op), clean(f.Name), will, clean(f.Summary), p.where(f.At))
	for _, d := range f.Difference {
		p.line("  %s %s", clean(f.Op), p.difference(clean(d)))
	}
	if len(f.Result) > 0 {
		p.detail("  %s gives %s", clean(f.Op), clean(string(f.Result)))
	}
}

func (p *plain) difference(line string) string {
	switch {
	case strings.HasPrefix(line, "+"):
		return p.green(line)
	case strings.HasPrefix(line, "-"), strings.HasPrefix(line, "!"):
		return p.red(line)
	}
	return line
}

func (p *plain) planEnded(f event.PlanEnded) {
	text := "no changes"
	if f.Changes > 0 {
		text = count(f.Changes, "change")
	}
	if f.KnownTo != "" {
		text += ", known up to " + clean(f.KnownTo) + after(f.Why)
	}
	if f.Refused > 0 {
		text += "; " + p.red("a run would fail by what is behind !")
	}
	p.line("plan: %s", text)
}
