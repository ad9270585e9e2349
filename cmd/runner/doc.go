//go:build !windows

package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/script"
)

// showDoc is "runner doc [FAMILY[.OP]]". It needs no project.
func (p *program) showDoc(_ flags, args []string) (int, error) {
	s, err := p.surround(p.dir, "")
	if err != nil {
		return 0, err
	}
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	ref := builtin.NewReference(append(s.families, script.Core(), script.Testing()))
	if name == "" {
		_, err := io.WriteString(p.stdout, ref.Index())
		return 0, err
	}
	page, err := ref.Lookup(name)
	if err != nil {
		return 0, &usage{err.Error(), op.HintOf(err)}
	}
	if _, err := io.WriteString(p.stdout, page); err != nil {
		return 0, errors.New("cannot write the page")
	}
	return 0, nil
}

// rejectJSON is reject for programs: the same facts as a run's.
func (p *program) rejectJSON(code int, text, hint string) int {
	now := p.now().UTC()
	for i, f := range []event.Fact{event.RunFailed{Error: text, Hint: hint}, event.RunFinished{Exit: code}} {
		b, err := event.Record{Seq: int64(i + 1), Time: now, Fact: f}.MarshalJSON()
		if err == nil {
			fmt.Fprintf(p.stderr, "%s\n", b)
		}
	}
	return code
}
