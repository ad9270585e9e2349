package op

import (
	"bytes"
	"context"
	"io"
	"strings"
	"time"
)

// Child is a process that an op started and that must not outlive the run. Start is field 22 of /proc/PID/stat, Boot
// the machine's boot id.
type Child struct {
	PID   int
	Start uint64
	Boot  string
	Name  string
}

// A Speaker hears what an op says while it runs. The engine gives one to each op through the context.
type Speaker interface {
	Output(line string)
	Progress(done, total int64, unit string)
	Waiting(what string, until time.Time)
	// Child is durable when it returns without an error; the process may go on only then.
	Child(Child) error
	// Half is called after each durable step of an op. An error means: stop here, as if killed.
	Half(step string) error
}

type speakerKey struct{}

// WithSpeaker is a context whose op speaks to s.
func WithSpeaker(ctx context.Context, s Speaker) context.Context {
	return context.WithValue(ctx, speakerKey{}, s)
}

func speaker(ctx context.Context) Speaker {
	if s, ok := ctx.Value(speakerKey{}).(Speaker); ok {
		return s
	}
	return Silent{}
}

// Output is where an op writes what it has to show, line by line. Close writes an unfinished last line.
func Output(ctx context.Context) io.WriteCloser { return &lines{to: speaker(ctx)} }

// Progress says how far the op has come; total is 0 where it is not known.
func Progress(ctx context.Context, done, total int64, unit string) {
	speaker(ctx).Progress(done, total, unit)
}

// Waiting says what the op waits for and until when at most. An op that blocks for over a second must say so.
func Waiting(ctx context.Context, what string, until time.Time) { speaker(ctx).Waiting(what, until) }

// WaitingIf says Waiting when sleep has come to its end, unless stop is called before that is worth a line: most waits are
// over at once, and a line about each would hide the one that matters. Nothing is said after stop, which must be called.
func WaitingIf(ctx context.Context, sleep func(context.Context) error, what string, until time.Time) (stop func()) {
	waiting, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		if sleep(waiting) == nil {
			Waiting(ctx, what, until)
		}
	}()
	return func() { cancel(); <-over }
}

// StartChild records a process of this op durably, before it is let go.
func StartChild(ctx context.Context, c Child) error { return speaker(ctx).Child(c) }

// Half marks a durable step within an op: "stopped", "switched". Tests stop an op there; an op returns its error at once.
func Half(ctx context.Context, step string) error { return speaker(ctx).Half(step) }

// Silent is a Speaker that hears nothing and lets everything pass.
type Silent struct{}

// Output implements Speaker.
func (Silent) Output(string) {}

// Progress implements Speaker.
func (Silent) Progress(int64, int64, string) {}

// Waiting implements Speaker.
func (Silent) Waiting(string, time.Time) {}

// Child implements Speaker.
func (Silent) Child(Child) error { return nil }

// Half implements Speaker.
func (Silent) Half(string) error { return nil }

// maxLine is the longest line of output, in bytes, that is kept in one piece: a program that never ends a line must
// not fill the memory.
const maxLine = 16 << 10

type lines struct {
	to   Speaker
	rest []byte
	cut  string // an ellipsis where rest goes on with a line that was too long
}

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p[:min(len(p), maxLine)], '\n')
		if i < 0 {
			take := min(len(p), maxLine-len(l.rest))
			l.rest, p = append(l.rest, p[:take]...), p[take:]
			if len(l.rest) == maxLine {
				l.flush("…")
			}
			continue
		}
		l.rest, p = append(l.rest, p[:i]...), p[i+1:]
		l.flush("")
	}
	return n, nil
}

// flush gives a line, or a piece of one: the ellipsis says so, also to whoever looks for halves of secrets.
func (l *lines) flush(more string) {
	l.to.Output(l.cut + strings.TrimSuffix(strings.ToValidUTF8(string(l.rest), "\uFFFD"), "\r") + more)
	l.rest, l.cut = l.rest[:0], more
}

func (l *lines) Close() error {
	if len(l.rest) > 0 {
		l.flush("")
	}
	return nil
}
