package reconcile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// evidenceLines is how many lines of logs fit on a screen, those of all containers together.
const evidenceLines = 50

// Evidence says of each container that is not well how it ended and what it said last.
func Evidence(ctx context.Context, e *Engine, project string) ([]op.Evidence, error) {
	seen, err := Observe(ctx, e, project)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(seen.Containers)
	for _, a := range seen.Aside {
		if a.New {
			all = append(all, a.Container)
		}
	}
	all = slices.DeleteFunc(all, func(c shape.Container) bool { return Ailing(seen.States[c.ID]) == "" })
	var out []op.Evidence
	for _, c := range all {
		s := seen.States[c.ID]
		text := Ailing(s)
		if s.Output != "" && s.Health != "healthy" {
			text += "\nits health check says: " + clip2(s.Output)
		}
		if log, err := Logs(ctx, e, c, max(5, evidenceLines/len(all)), ""); err == nil && log != "" {
			text += "\n" + log
		}
		out = append(out, op.Evidence{Title: title(c) + " (" + c.Name + ")", Text: strings.TrimRight(text, "\n")})
	}
	return out, nil
}

// Ailing says what is wrong with a container; "" where nothing is, or it was never started.
func Ailing(s State) string {
	var text string
	switch {
	case s.Error != "":
		text = "could not be started: " + s.Error
	case s.Status == "restarting" || s.Status == "running" && s.Restarts > 0:
		text = fmt.Sprintf("%s, restarted %d times", s.Status, s.Restarts)
		if s.Status == "restarting" {
			text += ", " + ended(s)
		}
	case s.Status == "running" && s.Health != "" && s.Health != "healthy":
		text = s.Health
	case s.Status == "exited" && (s.Exit != 0 || s.OOM), s.Status == "dead":
		text = ended(s)
	}
	return text
}

// maxLog is how much of a log is read at most.
const maxLog = 256 << 10

// Logs are the last lines that a container has written, since a time or a duration ago where one is given.
func Logs(ctx context.Context, e *Engine, c shape.Container, lines int, since string) (string, error) {
	stream, err := e.ContainerLogs(ctx, c.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(lines), Since: since})
	if err != nil {
		return "", err
	}
	defer stream.Close()
	b := &bounded{}
	if c.Config != nil && c.Config.Tty {
		_, err = b.ReadFrom(io.LimitReader(stream, maxLog))
	} else {
		_, err = stdcopy.StdCopy(b, b, stream)
	}
	return strings.ToValidUTF8(b.String(), "?"), err
}

// bounded keeps the beginning of what is written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if left := maxLog - b.Len(); left > 0 {
		b.Buffer.Write(p[:min(len(p), left)])
	}
	return len(p), nil
}

// Sweep removes what runs that have ended have put aside or left half made. A container whose name nobody bears now may
// be the last of its kind, and stays.
func Sweep(ctx context.Context, e *Engine, seen *Seen, ended func(run string) bool) (removed []string, err error) {
	for _, a := range seen.Aside {
		named := slices.ContainsFunc(seen.Containers, func(c shape.Container) bool { return c.Name == a.Of })
		replaced := a.New || named || slices.ContainsFunc(seen.Containers, func(c shape.Container) bool { return c.Service == a.Service })
		if !ended(a.Run) || !replaced {
			continue
		}
		if _, err := e.ContainerRemove(ctx, a.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: a.New}); err != nil {
			return removed, fmt.Errorf("cannot remove %s: %w", a.Name, err)
		}
		removed = append(removed, a.Name)
	}
	return removed, nil
}
