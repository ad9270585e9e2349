package reconcile

import (
	"fmt"
	"strings"
)

// Lines are the plan in the form that people read. A "+" is made, a "~" changes, a "-" is wanted no more.
func (p *Plan) Lines() (out []string) {
	for _, a := range p.Acts {
		out = append(out, a.String())
	}
	for _, r := range p.Gone {
		out = append(out, fmt.Sprintf("- %s is wanted no more; kube.prune removes it", r))
	}
	for _, n := range p.Notes {
		out = append(out, "note: "+n)
	}
	if n := len(p.Stay); n > 0 && len(p.Acts) > 0 {
		names := make([]string, n)
		for i, a := range p.Stay {
			names[i] = a.Ref.String()
		}
		out = append(out, "stays: "+strings.Join(names, ", "))
	}
	return out
}

// String is an act in one line, with its cause.
func (a Act) String() string {
	switch a.Kind {
	case Create:
		return fmt.Sprintf("+ %s: %s", a.Ref, a.Cause)
	case Adopt:
		return fmt.Sprintf("~ %s is adopted: %s", a.Ref, a.Cause)
	}
	return fmt.Sprintf("~ %s: %s", a.Ref, a.Cause)
}
