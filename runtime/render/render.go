// Package render shows the facts of a run: as plain lines, with colour or without, or as JSON. It knows facts and
// nothing else: no clock, no terminal, no host, so that a journal shown again gives the same bytes. It refuses to
// decide anything; where it needs more, a fact lacks a field.
package render

// The rules of plain output.
//
//   - One line per fact, each with its time in UTC, so that every line can be searched for. What a fact holds in many
//     lines (an excerpt, evidence) is a line each.
//   - What concerns an op begins with the op's position: "7 build.go: build ./cmd/mcpd". What happens while it runs is
//     indented and begins with the position too, so that "7/web/2" finds it among parallel branches.
//   - Present tense. No emoji, no box drawing. Words, not symbols: ok, failed, restored, conflict.
//   - An op that only looks or makes takes one line, at its end; its start is shown as soon as anything else of it is.
//     An op that changes what serves is shown before it does.
//   - Colour means state and nothing else: green holds, yellow waits or stays open, red does not hold. Without colour
//     not a byte of meaning is lost.
//   - What a program, a script or a server wrote cannot move the cursor, colour a line or pretend to be one of ours.
//   - A failure fits one screen: what failed and where, evidence, what was taken back, how the world is now, what to do.
//   - The verdict stands last, a sentence for each thing that matters, each line beginning with "verdict".

import (
	"io"

	"github.com/erlmcp/runner/runtime/event"
)

// Style chooses how plain output looks. The zero Style is without colour and shows every fact that people act on.
type Style struct {
	Colour  bool
	Verbose bool // parameters, results, positions, backtraces, evidence in full
	Quiet   bool // only what the script prints, failures and the verdict
}

// Plain writes facts as lines for people. An error is the writer's.
func Plain(w io.Writer, s Style) event.Sink {
	return &plain{out: w, style: s, ops: map[string]*opState{}}
}

// JSON writes each record as one line of JSON, as the journal holds it. An error is the writer's.
func JSON(w io.Writer) event.Sink { return jsonLines{w} }

type jsonLines struct{ out io.Writer }

// Emit implements event.Sink.
func (j jsonLines) Emit(r event.Record) error {
	b, err := r.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = j.out.Write(append(b, '\n'))
	return err
}
