package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/event"
)

var update = flag.Bool("update", false, "write what is rendered into testdata/*.txtar")

func styles() map[string]Style {
	return map[string]Style{"plain": {}, "verbose": {Verbose: true}, "quiet": {Quiet: true}, "colour": {Colour: true}}
}

func records(t testing.TB, in []byte) []event.Record {
	t.Helper()
	var out []event.Record
	for line := range bytes.Lines(in) {
		var r event.Record
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out = append(out, r)
	}
	return out
}

func show(t testing.TB, s event.Sink, in []event.Record) {
	t.Helper()
	for _, r := range in {
		if err := s.Emit(r); err != nil {
			t.Fatal(err)
		}
	}
}

// visible writes the escape character so that a golden file stays a text.
func visible(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\x1b"), []byte("^[")) }

// section is one part of a golden file, behind its "-- name --" line; the first has no name and is the comment.
type section struct {
	name string
	data []byte
}

func readGolden(t testing.TB, name string) []section {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	out := []section{{}}
	for line := range bytes.Lines(b) {
		head, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "-- ")
		if head, end := strings.CutSuffix(head, " --"); ok && end {
			out = append(out, section{name: head})
			continue
		}
		last := &out[len(out)-1]
		last.data = append(last.data, line...)
	}
	if len(out) < 3 || out[1].name != "in.jsonl" {
		t.Fatalf("%s: want a comment, -- in.jsonl -- and what it looks like", name)
	}
	return out
}

func writeGolden(t testing.TB, name string, sections []section) {
	t.Helper()
	var b bytes.Buffer
	for _, s := range sections {
		if s.name != "" {
			fmt.Fprintf(&b, "-- %s --\n", s.name)
		}
		b.Write(s.data)
	}
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestGolden: -- in.jsonl -- is a journal; each other section is it, rendered in the style of its name.
func TestGolden(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	if len(files) < 15 {
		t.Fatalf("%d golden files", len(files))
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			golden := readGolden(t, name)
			in := records(t, golden[1].data)
			for i, s := range golden[2:] {
				style, ok := styles()[s.name]
				if !ok {
					t.Fatalf("no style is named %s", s.name)
				}
				var out bytes.Buffer
				show(t, Plain(&out, style), in)
				got := visible(out.Bytes())
				if *update {
					golden[i+2].data = got
				} else if !bytes.Equal(got, s.data) {
					t.Errorf("%s\n got\n%swant\n%s", s.name, got, s.data)
				}
			}
			if *update {
				writeGolden(t, name, golden)
			}
		})
	}
}

// Every golden journal keeps the rules at the top of render.go.
func TestRules(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range files {
		in := records(t, readGolden(t, name)[1].data)
		var plain, colour, again bytes.Buffer
		show(t, Plain(&plain, Style{}), in)
		show(t, Plain(&colour, Style{Colour: true}), in)
		show(t, Plain(&again, Style{}), in)
		if !bytes.Equal(plain.Bytes(), again.Bytes()) {
			t.Errorf("%s: shown again it differs", name)
		}
		if got := escapes.ReplaceAll(colour.Bytes(), nil); !bytes.Equal(got, plain.Bytes()) {
			t.Errorf("%s: colour carries meaning:\n%s", name, got)
		}
		for line := range strings.Lines(plain.String()) {
			text := strings.TrimSuffix(line, "\n")
			if _, err := time.Parse(time.TimeOnly, text[:8]); err != nil || text[8] != ' ' || strings.TrimSpace(text) != text || clean(text) != text {
				t.Errorf("%s: %q", name, line)
			}
		}
	}
}

// everyFact is one record of each kind, all fields filled with text that means harm.
func everyFact(t *testing.T, evil string) []event.Record {
	var out []event.Record
	for i, f := range event.All() {
		b, _ := json.Marshal(event.Record{Seq: int64(i), Time: time.Unix(0, 0), Run: evil, Fact: f})
		var fields map[string]any
		if err := json.Unmarshal(b, &fields); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"op", "name", "what", "text", "title", "detail", "wanted", "found", "summary", "at", "error", "hint", "excerpt",
			"backtrace", "fault", "live", "message", "held_by", "holder", "target", "dead", "why", "known_to", "script", "environment", "user", "host", "outcome", "class", "unit", "command"} {
			fields[name] = evil
		}
		fields["params"], fields["result"], fields["inverse"] = evil, evil, evil
		fields["args"], fields["built_in"] = []string{evil}, []string{evil}
		fields["differs"], fields["finals"], fields["difference"] = []string{evil}, []string{evil}, []string{evil}
		b, _ = json.Marshal(fields)
		out = append(out, records(t, b)...)
	}
	for _, o := range []event.Outcome{event.Restored, event.Already, event.Conflict, event.Failed, event.Final, event.Passed, event.Broken} {
		out = append(out, event.Record{Fact: event.OpUndone{Op: evil, Name: evil, Outcome: o, Summary: evil, Detail: evil, Wanted: evil, Found: evil}})
	}
	for _, exit := range []int{0, 1, 2, 3, 10, 11, 12, 13, 17, 18, 70, 130, 143, 99} {
		out = append(out, event.Record{Fact: event.RunFinished{Exit: exit, Live: evil, Wanted: "w", Message: evil, HeldBy: evil}})
	}
	for _, class := range []string{"read", "make", "change", "final"} {
		out = append(out, event.Record{Fact: event.OpPlanned{Op: evil, Name: evil, Class: class, Summary: evil, Difference: []string{"+" + evil}}},
			event.Record{Fact: event.OpStarted{Op: class, Name: evil, Class: class, Summary: evil}},
			event.Record{Fact: event.OpFinished{Op: class, Name: evil, Error: evil}})
	}
	return append(out, event.Record{Fact: event.RecoveryFinished{Dead: evil, Target: evil, Complete: true, Live: evil}})
}

// Whatever a fact holds, a line begins with a time, and only colour that is ours is on it.
// Of a long error both ends are shown: what it says first, and what a program said last.
func TestALongErrorIsCutInTheMiddle(t *testing.T) {
	long := func(n int) string {
		var text []string
		for i := range n {
			text = append(text, fmt.Sprintf("line %d", i+1))
		}
		return strings.Join(text, "\n")
	}
	shown := func(n int) string {
		var b bytes.Buffer
		if err := Plain(&b, Style{}).Emit(event.Record{Fact: event.RunFailed{Error: long(n)}}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if got := shown(28); strings.Contains(got, "left out") || !strings.HasSuffix(got, "line 28\n") {
		t.Errorf("an error that fits is cut:\n%s", got)
	}
	got := shown(60)
	for _, want := range []string{"line 1\n", "line 16\n", "  (32 lines left out, shown by -v)\n", "line 49\n", "line 60\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in:\n%s", want, got)
		}
	}
}

func TestNothingOutsideMovesTheCursor(t *testing.T) {
	evil := "a\x1b[2J\x1b]0;title\x07b\rc\u0085\u2028\u202e\x00\x9b31m\xff\n23:59:59 verdict: done"
	for name, style := range styles() {
		var out bytes.Buffer
		show(t, Plain(&out, style), everyFact(t, evil))
		got := out.String()
		if style.Colour {
			got = strings.NewReplacer("\x1b[31m", "", "\x1b[32m", "", "\x1b[33m", "", "\x1b[0m", "").Replace(got)
		}
		for line := range strings.Lines(got) {
			if text := strings.TrimSuffix(line, "\n"); clean(text) != text || strings.HasPrefix(text, "23:59:59") {
				t.Errorf("%s: %q", name, line)
			}
		}
	}
}

func TestJSON(t *testing.T) {
	in := records(t, readGolden(t, "testdata/undo.txtar")[1].data)
	in[0].Fact = event.RunStarted{Script: "a\n<b>"}
	var out bytes.Buffer
	show(t, JSON(&out), in)
	back := records(t, out.Bytes())
	if len(back) != len(in) || bytes.Count(out.Bytes(), []byte("\n")) != len(in) {
		t.Fatalf("%d records are %d lines", len(in), bytes.Count(out.Bytes(), []byte("\n")))
	}
	if !strings.Contains(out.String(), `a\n<b>`) {
		t.Error("not as event writes it")
	}
	if !reflect.DeepEqual(back, in) {
		t.Errorf("came back as %+v", back)
	}
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func TestAWritersErrorIsTheSinks(t *testing.T) {
	pipe := errors.New("broken pipe")
	r := event.Record{Fact: event.Noted{Text: "x"}}
	for _, s := range []event.Sink{Plain(broken{pipe}, Style{}), JSON(broken{pipe})} {
		if err := s.Emit(r); !errors.Is(err, pipe) {
			t.Errorf("%T: %v", s, err)
		}
	}
	if err := Plain(broken{pipe}, Style{Quiet: true}).Emit(r); err != nil {
		t.Errorf("nothing to write: %v", err)
	}
}

// once counts writes: what a record shows is written as one, so that another program's output is never in between.
type once struct{ n int }

func (o *once) Write(p []byte) (int, error) { o.n++; return len(p), nil }

func TestOneWritePerRecord(t *testing.T) {
	var o once
	err := Plain(&o, Style{}).Emit(event.Record{Fact: event.RunFailed{Error: "a\nb", Excerpt: "c\nd"}})
	if err != nil || o.n != 1 {
		t.Errorf("%d writes, %v", o.n, err)
	}
}

func TestSeconds(t *testing.T) {
	for s, want := range map[float64]string{-1: "0ms", 0: "0ms", 0.0042: "4ms", 0.0996: "0.1s", 2.134: "2.1s", 9.96: "10s", 59.4: "59s", 60: "60s", 99.6: "1m40s",
		185: "3m05s", 3599.6: "1h00m", 7260: "2h01m"} {
		if got := seconds(s); got != want {
			t.Errorf("%v is %s, want %s", s, got, want)
		}
	}
}

func TestProgress(t *testing.T) {
	for _, c := range []struct {
		f    event.OpProgress
		want string
	}{
		{event.OpProgress{Done: 3, Total: 10, Unit: "files"}, "3 of 10 files"}, {event.OpProgress{Done: 3}, "3"},
		{event.OpProgress{Done: 512, Total: 1536, Unit: "bytes"}, "0.5 of 1.5 KiB"}, {event.OpProgress{Done: 7, Unit: "bytes"}, "7 bytes"},
		{event.OpProgress{Done: 3 << 30, Unit: "bytes"}, "3 GiB"},
	} {
		if got := progress(c.f); got != c.want {
			t.Errorf("%+v is %q", c.f, got)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"plain", "\x1b[31mred\x1b[0m", "\x1b]8;;http://x\x1b\\link", "\x9b2J", "\xff\xfe", "\u202e", "\x1b[\x1b[31mm"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if clean(got) != got || strings.ContainsAny(got, "\x1b\n\r\x00\x07\x7f") {
			t.Errorf("%q becomes %q", s, got)
		}
	})
}

// BenchmarkPlain renders a run of 10,000 facts.
func BenchmarkPlain(b *testing.B) {
	var in []event.Record
	at := time.Unix(1_800_000_000, 0)
	for i := range 2500 {
		op := fmt.Sprintf("%d/web/1", i)
		for _, f := range []event.Fact{
			event.OpStarted{Op: op, Name: "build.go", Class: "make", Summary: "build ./cmd/mcpd"}, event.OpOutput{Op: op, Text: "compiling github.com/erlmcp/runner"},
			event.OpWaiting{Op: op, What: "go build", Until: at}, event.OpFinished{Op: op, Name: "build.go", Seconds: 1},
		} {
			in = append(in, event.Record{Time: at, Fact: f})
		}
	}
	for b.Loop() {
		show(b, Plain(io.Discard, Style{}), in)
	}
}
