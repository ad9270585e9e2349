package service

import (
	"context"
	"fmt"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Logs is service.logs.
type Logs struct {
	_     op.Doc `doc:"Gives the last lines that the service of a root has logged; empty where it has logged none."`
	Root  string `json:"root" doc:"The host root."`
	Lines int    `json:"lines,omitempty" doc:"How many lines."`
	File  string `json:"file,omitempty" doc:"The application's own log, to read instead."`
}

// maxLines bounds what is asked for.
const maxLines = 1000

// Check implements op.Checked.
func (l Logs) Check() error {
	if l.Lines < 1 || l.Lines > maxLines {
		return fmt.Errorf("lines: want 1 to %d, got %d", maxLines, l.Lines)
	}
	return nil
}

// Summary implements op.Op.
func (l Logs) Summary() string { return "read what the service of " + l.Root + " has logged" }

// Do implements op.Op.
func (l Logs) Do(ctx context.Context, h *host.Host) (string, error) {
	if l.File != "" {
		return driver.TailOf(h, h.Abs(l.File), l.Lines)
	}
	root := h.Abs(l.Root)
	runs, err := driver.Current(h, root)
	if err != nil {
		return "", err
	}
	text, _, err := driver.Said(ctx, h, root, runs, l.Lines)
	return text, err
}
