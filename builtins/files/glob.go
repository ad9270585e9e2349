package files

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/inside"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// maxNames bounds what a glob looks at, and so what it gives.
const maxNames = 100_000

// Glob lists the project's files and folders whose paths match a pattern.
type Glob struct {
	_       op.Doc `doc:"Lists the project's files and folders whose paths match a pattern, sorted. Links to folders are not followed; names that begin with a dot need one in the pattern."`
	Pattern string `json:"pattern" doc:"Such as \"config/*.conf\": * and ? stand for anything but a slash, [a-z] for one of these, ** for any number of folders, \\ takes the meaning from the next sign."`
}

// Summary implements op.Op.
func (g Glob) Summary() string { return "list " + g.Pattern }

// Check implements op.Checked.
func (g Glob) Check() error {
	if g.Pattern == "" || path.IsAbs(g.Pattern) || slices.Contains(strings.Split(g.Pattern, "/"), "..") {
		return fmt.Errorf("pattern: want a pattern inside the project, got %q", g.Pattern)
	}
	for part := range strings.SplitSeq(g.Pattern, "/") {
		if _, err := path.Match(part, ""); err != nil {
			return fmt.Errorf("pattern: %q has a [ without its ], or a \\ at its end", part)
		}
	}
	return nil
}

// Do implements op.Op.
func (g Glob) Do(ctx context.Context, h *host.Host) ([]string, error) {
	s := search{ctx: ctx, h: h, found: map[string]bool{}}
	parts := strings.Split(path.Clean(g.Pattern), "/")
	if parts[len(parts)-1] == "**" {
		parts = append(parts, "*")
	}
	if err := s.below("", parts); err != nil {
		return nil, fmt.Errorf("cannot list %s: %w", g.Pattern, err)
	}
	return slices.Sorted(maps.Keys(s.found)), nil
}

type search struct {
	ctx   context.Context
	h     *host.Host
	found map[string]bool
	seen  int
}

func (s *search) below(dir string, parts []string) error {
	if parts[0] == "**" && len(parts) > 1 {
		if err := s.below(dir, parts[1:]); err != nil {
			return err
		}
	}
	entries, err := s.list(dir)
	for _, e := range entries {
		if err == nil {
			err = s.visit(path.Join(dir, e.Name()), e, parts)
		}
	}
	return err
}

func (s *search) list(dir string) ([]fs.DirEntry, error) {
	if s.ctx.Err() != nil {
		return nil, context.Cause(s.ctx)
	}
	entries, err := s.h.Files.ReadDir(s.h.Abs(dir))
	if inside.Absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.h.Abs(dir), artifact.Plainly(err))
	}
	if s.seen += len(entries); s.seen > maxNames {
		return nil, op.Hint(fmt.Errorf("it covers over %d names", maxNames), "begin the pattern with a folder")
	}
	return entries, nil
}

func (s *search) visit(name string, e fs.DirEntry, parts []string) error {
	switch {
	case !matches(parts[0], e.Name()):
		return nil
	case parts[0] == "**":
		if e.IsDir() {
			return s.below(name, parts)
		}
		return nil
	case len(parts) == 1:
		s.found[name] = true
		return nil
	case e.IsDir():
		return s.below(name, parts[1:])
	}
	return nil
}

func matches(pattern, name string) bool {
	if strings.HasPrefix(name, ".") && !strings.HasPrefix(strings.TrimPrefix(pattern, `\`), ".") {
		return false
	}
	ok, _ := path.Match(pattern, name) // Check has seen that the pattern is one
	return ok
}
