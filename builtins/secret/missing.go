package secret

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Missing looks which secrets cannot be had.
type Missing struct {
	_       op.Doc                 `doc:"Looks which secrets cannot be had, and why; an empty list where all of them can. It shows nothing of the others. A program that prints a secret is run."`
	Secrets map[string]secret.Text `json:"secrets" doc:"The secrets by the names that they are needed as."`
}

// Absent is a secret that cannot be had.
type Absent struct {
	_      op.Doc `doc:"A secret that cannot be had."`
	Name   string `json:"name" doc:"The name that it is needed as."`
	Secret string `json:"secret" doc:"Where it comes from: a variable, a file or a command."`
	Why    string `json:"why" doc:"Why it cannot be had."`
	Hint   string `json:"hint,omitempty" doc:"What to do about it, where that is known."`
}

var _ op.Op[*host.Host, []Absent] = Missing{}

// Summary implements op.Op.
func (m Missing) Summary() string {
	if len(m.Secrets) == 1 {
		return "look whether 1 secret can be had"
	}
	return fmt.Sprintf("look whether %d secrets can be had", len(m.Secrets))
}

// Do implements op.Op.
func (m Missing) Do(ctx context.Context, h *host.Host) ([]Absent, error) {
	absent := []Absent{}
	for _, name := range slices.Sorted(maps.Keys(m.Secrets)) {
		text := m.Secrets[name]
		_, err := h.Secrets.RevealIn(ctx, text)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			absent = append(absent, Absent{Name: name, Secret: text.Name(), Why: err.Error(), Hint: op.HintOf(err)})
		}
	}
	return absent, nil
}
