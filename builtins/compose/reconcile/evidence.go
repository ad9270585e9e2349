package reconcile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"
)

// evidenceLines is how many lines of logs fit on a screen, those of all containers together; checkLines is how many lines
// of what a health check says.
const (
	evidenceLines = 50
	checkLines    = 10
)

// Evidence says of each container that is not well how it ended, what its health check says, and what it said last.
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
		out = append(out, evidence(ctx, e, c, seen.States[c.ID], max(5, evidenceLines/len(all)))...)
	}
	return out, nil
}

// evidence is what there is to say of one container; what its check says does not push its log off the screen.
func evidence(ctx context.Context, e *Engine, c shape.Container, s State, lines int) (out []op.Evidence) {
	head := op.Evidence{Title: fmt.Sprintf("%s (%s) %s", title(c), c.Name, Ailing(s))}
	if s.Started.IsZero() || s.Started.Year() <= 1 {
		return []op.Evidence{head} // nothing of it has ever run
	}
	if s.Output != "" && s.Health != "healthy" {
		head.Text = lastLines(s.Output, checkLines)
		head.Title += fmt.Sprintf("; its check failed %s, and says", times(s.Failed))
		out, head = append(out, head), op.Evidence{Title: title(c) + "; its log ends with"}
	} else {
		head.Title += "; its log ends with"
	}
	log, err := Logs(ctx, e, c, lines, "")
	switch {
	case err != nil:
		head.Title, head.Text = title(c)+"; its log cannot be read", said(err.Error())
	case strings.TrimSpace(log) == "":
		head.Title = strings.TrimSuffix(head.Title, "; its log ends with") + "; its log is empty"
	default:
		head.Text = strings.TrimRight(log, "\n")
	}
	return append(out, head)
}

// Ailing says what is wrong with a container; "" where nothing is, or it was never started.
func Ailing(s State) string {
	switch {
	case s.Error != "":
		return "could not be started: " + said(s.Error)
	case s.Status == "restarting":
		return fmt.Sprintf("is restarted again and again, %s so far: it %s", times(s.Restarts), ended(s))
	case s.Status == "running" && s.Restarts > 0:
		return fmt.Sprintf("runs, and was restarted %s", times(s.Restarts))
	case s.Status == "running" && s.Health != "" && s.Health != "healthy":
		return "is " + s.Health
	case s.Status == "exited" && (s.Exit != 0 || s.OOM), s.Status == "dead":
		return ended(s)
	}
	return ""
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
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

// Sweep removes what runs have put aside or left half made, where goes says so.
func Sweep(ctx context.Context, e *Engine, seen *Seen, goes func(Aside) bool) (removed []string, err error) {
	g, in := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	var mu sync.Mutex
	for _, a := range seen.Aside {
		if !goes(a) {
			continue
		}
		g.Go(func() error {
			if _, err := e.ContainerRemove(in, a.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: a.New}); err != nil {
				return fmt.Errorf("cannot remove %s: %w", a.Name, plain(err))
			}
			mu.Lock()
			defer mu.Unlock()
			removed = append(removed, a.Name)
			return nil
		})
	}
	err = g.Wait()
	slices.Sort(removed)
	return removed, err
}

// Replaced reports whether a container that lies aside has another in its place, or never had one. Another may be the last
// of its kind.
func (s *Seen) Replaced(a Aside) bool {
	return a.New || slices.ContainsFunc(s.Containers, func(c shape.Container) bool { return c.Name == a.Of || c.Service == a.Service })
}
