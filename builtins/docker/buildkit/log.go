package buildkit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	control "github.com/moby/buildkit/api/services/control"
)

// lastLines is how many lines of a step that failed its error shows.
const lastLines = 50

// log is what BuildKit says of a build: a line for each step as it starts, and what the steps print, which goes to a file.
type log struct {
	ctx   context.Context
	scrub func(string) string
	until time.Time
	out   io.WriteCloser
	path  string
	file  host.File
	whole *bufio.Writer
	lost  error

	mu    sync.Mutex
	steps map[string]*step // by digest
	moved map[string][2]int64
}

// step is one that has started.
type step struct {
	op.Silent
	log    *log
	number int
	name   string
	failed string
	lines  io.WriteCloser
	last   []string
}

func open(ctx context.Context, b *build) (*log, error) {
	h := b.host
	if err := host.MkdirAll(h.Files, h.Scratch, 0o700); err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	if deadline.IsZero() {
		deadline = h.Clock.Now().Add(b.Timeout)
	}
	l := &log{ctx: ctx, scrub: h.Secrets.Scrubber.String, until: deadline, steps: map[string]*step{}, moved: map[string][2]int64{},
		path: filepath.Join(h.Scratch, strings.ReplaceAll(string(b.Key), "/", "-")+".log")}
	f, err := h.Files.Open(l.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot keep what it prints: %w", err)
	}
	l.file, l.whole, l.out = f, bufio.NewWriter(f), op.Output(ctx)
	op.Waiting(ctx, "BuildKit", l.until)
	return l, nil
}

// hear takes what BuildKit says.
func (l *log) hear(s *control.StatusResponse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range s.Vertexes {
		known := l.steps[v.Digest]
		if known == nil && v.Started != nil {
			known = l.start(v)
		}
		if known != nil && v.Error != "" {
			known.failed = v.Error
		}
	}
	for _, m := range s.Logs {
		if step := l.steps[m.Vertex]; step != nil {
			step.lines.Write(m.Msg)
		}
	}
	for _, t := range s.Statuses {
		if t.Total > 0 || strings.HasPrefix(t.ID, "transferring") {
			l.moved[t.Vertex+t.ID] = [2]int64{t.Current, t.Total}
		}
	}
	if len(s.Statuses) > 0 && len(l.moved) > 0 {
		var done, total int64
		for _, m := range l.moved {
			done, total = done+m[0], total+max(m[0], m[1])
		}
		op.Progress(l.ctx, done, total, "bytes")
	}
	op.Waiting(l.ctx, "BuildKit", l.until)
}

// start notes a step. BuildKit's own preparations have no line.
func (l *log) start(v *control.Vertex) *step {
	s := &step{log: l, number: len(l.steps) + 1, name: oneLine(l.scrub(v.Name))}
	s.lines = op.Output(op.WithSpeaker(context.Background(), s))
	l.steps[v.Digest] = s
	note := ""
	if v.Cached {
		note = " (as before)"
	}
	line := fmt.Sprintf("#%d %s%s", s.number, s.name, note)
	l.keep(line)
	if !strings.HasPrefix(s.name, "[internal]") {
		fmt.Fprintln(l.out, line)
	}
	return s
}

// Output implements op.Speaker: a line that the step printed.
func (s *step) Output(line string) {
	line = s.log.scrub(line)
	if len(s.last) == lastLines {
		s.last = s.last[1:]
	}
	s.last = append(s.last, line)
	s.log.keep(fmt.Sprintf("#%d %s", s.number, line))
}

func (l *log) keep(line string) {
	if l.lost == nil {
		_, l.lost = l.whole.WriteString(line + "\n")
	}
}

// close ends the file, and gives its path; "" where it lacks something, which is no reason to call a build failed.
func (l *log) close() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.steps {
		s.lines.Close()
	}
	if l.lost == nil {
		l.lost = l.whole.Flush()
	}
	if l.lost = errors.Join(l.lost, l.file.Close()); l.lost != nil {
		fmt.Fprintf(l.out, "the whole output is not kept: %v\n", l.lost)
		l.path = ""
	}
	l.out.Close()
	return l.path
}

// culprit is the step that failed, nil for none. A build that is given up cancels the others.
func (l *log) culprit() (found *step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.steps {
		if s.failed != "" && (found == nil || strings.Contains(found.failed, "context canceled") || len(s.last) > len(found.last)) && !strings.Contains(s.failed, "context canceled") {
			found = s
		}
	}
	return found
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
