package command

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// shown is how many lines of the beginning and of the end an error can quote.
const shown = 10

// Output is where both outputs of a program meet, line by line.
type Output struct {
	op.Silent
	scrub func(string) string
	piece func(string) string
	show  io.WriteCloser // nil where nothing is shown
	lines [2]io.WriteCloser
	tail  tail

	mu    sync.Mutex
	path  string
	file  host.File
	whole *bufio.Writer
	lost  error // why the file does not hold the whole
	first []string
	last  []string
}

// Listen begins to hear a program that c describes; Close ends that.
func Listen(ctx context.Context, h *host.Host, c Cmd) (*Output, error) {
	o := &Output{scrub: h.Secrets.Scrubber.String, piece: h.Secrets.Scrubber.Piece, tail: tail{keep: c.Keep}}
	if c.Keep == 0 {
		o.tail.keep = Keep
	}
	for i := range o.lines {
		o.lines[i] = op.Output(op.WithSpeaker(context.Background(), o))
	}
	if c.Quiet {
		return o, nil
	}
	if err := host.MkdirAll(h.Files, h.Scratch, 0o700); err != nil {
		return nil, err
	}
	o.show = op.Output(ctx)
	o.path = filepath.Join(h.Scratch, strings.ReplaceAll(string(c.Key), "/", "-")+".log")
	f, err := h.Files.Open(o.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	o.file, o.whole = f, bufio.NewWriterSize(f, 64<<10)
	return o, nil
}

// Stdout is where its standard output goes.
func (o *Output) Stdout() io.Writer { return io.MultiWriter(&o.tail, o.lines[0]) }

// Stderr is where its standard error goes.
func (o *Output) Stderr() io.Writer { return o.lines[1] }

// Output implements op.Speaker for the two streams. Each writes from a goroutine of its own.
func (o *Output) Output(line string) {
	line = o.scrub(line)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.first) < shown {
		o.first = append(o.first, line)
	}
	if len(o.last) == shown {
		o.last = append(o.last[:0], o.last[1:]...)
	}
	o.last = append(o.last, line)
	if o.show == nil {
		return
	}
	io.WriteString(o.show, line+"\n")
	if o.lost == nil {
		_, o.lost = o.whole.WriteString(line + "\n")
	}
}

// Close ends the unfinished lines and the file. A file that lacks something is not named in the result: a full disk
// is no reason to call a program failed that did its work.
func (o *Output) Close() Ran {
	for _, l := range o.lines {
		l.Close()
	}
	r := Ran{Path: o.path, First: o.first, Last: o.last}
	r.Stdout, r.Truncated = o.tail.text()
	if r.Truncated && !strings.Contains(r.Stdout, "\n") {
		r.Stdout = o.piece(r.Stdout)
	}
	if o.show == nil {
		return r
	}
	if o.lost == nil {
		o.lost = o.whole.Flush()
	}
	if err := o.file.Close(); o.lost == nil {
		o.lost = err
	}
	if o.lost != nil {
		r.Path = ""
		if p := (*fs.PathError)(nil); errors.As(o.lost, &p) {
			o.lost = p.Err
		}
		fmt.Fprintf(o.show, "the whole output is not kept: %v\n", o.lost)
	}
	o.show.Close()
	return r
}

// tail keeps the last bytes of what is written to it, in at most twice their room.
type tail struct {
	keep int
	buf  []byte
	cut  bool
}

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if len(p) > t.keep {
		p, t.cut = p[len(p)-t.keep:], true
	}
	if len(t.buf)+len(p) > 2*t.keep {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-t.keep:]...)
		t.cut = true
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// text is what is left. Where the beginning is missing it starts with a whole line, if there is one: the second half of
// a secret is not easily known as one.
func (t *tail) text() (string, bool) {
	b := t.buf
	if len(b) > t.keep {
		b, t.cut = b[len(b)-t.keep:], true
	}
	if t.cut {
		if _, rest, found := bytes.Cut(b, []byte("\n")); found && len(rest) > 0 {
			b = rest
		}
	}
	return strings.ToValidUTF8(string(b), "\uFFFD"), t.cut
}
