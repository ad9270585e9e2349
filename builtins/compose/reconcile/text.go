package reconcile

import (
	"fmt"
	"strings"
)

// String is the plan in the form that people read, one line for each act. It is empty where nothing is to be done.
func (p *Plan) String() string {
	lines := p.Lines()
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// Lines are the lines of String. A "+" is made, a "-" goes, a "~" changes; an act that waits says for what.
func (p *Plan) Lines() (out []string) {
	for _, a := range p.Acts {
		line := a.String()
		if w := p.waits(a); w != "" {
			line += "; after " + w
		}
		out = append(out, line)
	}
	for _, n := range p.Notes {
		out = append(out, "note: "+n)
	}
	if n := len(p.Stay); n > 0 && len(p.Acts) > 0 {
		names := make([]string, n)
		for i, c := range p.Stay {
			names[i] = title(c)
		}
		out = append(out, "stays: "+strings.Join(names, ", "))
	}
	return out
}

// String is an act in one line, with its cause.
func (a Act) String() string {
	switch a.Kind {
	case MakeNetwork:
		return fmt.Sprintf("+ network %s: %s", a.Network.Create.Name, a.Cause)
	case RemoveNetwork:
		return fmt.Sprintf("- network %s, to be made anew: %s", a.Network.Create.Name, a.Cause)
	case MakeVolume:
		return fmt.Sprintf("+ volume %s: %s", a.Volume.Create.Name, a.Cause)
	case Create:
		return fmt.Sprintf("+ %s: %s", a.title(), a.Cause)
	case Replace:
		return fmt.Sprintf("~ %s is replaced, %s: %s", a.title(), a.first(), a.Cause)
	case Start:
		return fmt.Sprintf("~ %s is started: %s", a.title(), a.Cause)
	case Restart:
		return fmt.Sprintf("~ %s is restarted: %s", a.title(), a.Cause)
	case Stop:
		return fmt.Sprintf("~ %s is stopped: %s", a.title(), a.Cause)
	case Park:
		return fmt.Sprintf("- %s is put aside: %s", a.title(), a.Cause)
	case Discard:
		return fmt.Sprintf("- %s is removed: %s", a.name(), a.Cause)
	}
	return fmt.Sprintf("~ %s is brought back: %s", a.title(), a.Cause)
}

func (a Act) first() string {
	text := "the old one stops first"
	if a.StartFirst {
		text = "the new one starts first"
	}
	if a.Order != "" {
		text += " (" + a.Order + ")"
	}
	return text
}

// title is the container that the act is about, as it is shown: "web:1".
func (a Act) title() string {
	if a.Want != nil {
		return title(*a.Want)
	}
	return title(*a.Have)
}

// name is what the container is called on the engine.
func (a Act) name() string {
	if a.Have != nil {
		return a.Have.Name
	}
	return a.Want.Name
}

// conditions are how a condition is said.
var conditions = map[string]string{healthy: "is healthy", completed: "has completed", ready: "is ready", started: "runs"}

// waits says what comes before an act: other containers; that its networks and volumes do, everybody expects.
func (p *Plan) waits(a Act) string {
	var out []string
	said := map[string]bool{}
	for _, u := range a.Until {
		said[u.Title] = true
		out = append(out, u.Title+" "+conditions[u.Condition])
	}
	for _, id := range a.After {
		b := p.Acts[id-1]
		if b.Want == nil || said[b.title()] || b.title() == a.title() {
			continue
		}
		out = append(out, b.title()+" runs")
	}
	return strings.Join(out, ", ")
}
