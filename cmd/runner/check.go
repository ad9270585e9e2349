//go:build !windows

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/erlmcp/runner/runtime/engine"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/script"
	"github.com/erlmcp/runner/scripts"
	"github.com/erlmcp/runner/stdlib"
)

// mistake is a line of "runner check --output json".
type mistake struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// checkScripts is "runner check [SCRIPTS]".
func (p *program) checkScripts(f flags, args []string) (int, error) {
	proj, err := script.FindProject(p.dir, scripts.FS, stdlib.FS)
	if err != nil {
		return 0, err
	}
	defer proj.Close()
	s, err := p.surround(proj.Dir, f.State)
	if err != nil {
		return 0, err
	}
	found, err := script.Check(context.Background(), proj, args, script.Options{
		Families: s.families, Limits: f.limits(), Clock: host.SystemClock{}, Info: script.Info{Now: p.now().UTC()}, Abandon: p.abandon,
	}, &flags{})
	if err != nil {
		return 0, err
	}
	var failed error
	for _, m := range found.Mistakes {
		text := m.String()
		if f.Output == "json" {
			b, err := json.Marshal(mistake{m.File, m.Line, m.Column, m.Message, m.Hint})
			failed = errors.Join(failed, err)
			text = string(b) + "\n"
		}
		_, err := fmt.Fprint(p.stdout, text)
		failed = errors.Join(failed, err)
	}
	if f.Output != "json" {
		_, err := fmt.Fprintf(p.stdout, "%s, %s\n", several(len(found.Files), "file"), several(len(found.Mistakes), "mistake"))
		failed = errors.Join(failed, err)
	}
	if len(found.Mistakes) > 0 {
		return engine.ExitUsage, failed
	}
	return engine.ExitHolds, failed
}

func several(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
