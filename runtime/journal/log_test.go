package journal_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/journal"
)

// logFile is the log of run a in a new root, with that content.
func logFile(t testing.TB, content []byte) (root, name string) {
	t.Helper()
	root = t.TempDir()
	name = filepath.Join(root, ".runner", "runs", "a.jsonl")
	must(t, os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, content, 0o600))
	return root, name
}

// goOn opens the log again, appends two records and holds that it consists of n+2 and nothing else.
func goOn(t *testing.T, root, name string, n int, what any) {
	t.Helper()
	l := take(t, home(root), "taker")
	log, err := l.Open(t.Context(), "a")
	if err != nil {
		t.Fatalf("%v: %v", what, err)
	}
	var tail []byte
	for i := n + 1; i <= n+2; i++ {
		r := note(i, 0)
		must(t, log.Append(t.Context(), r, true))
		r.Seq = int64(i)
		line, err := journal.EncodeLine(r)
		must(t, err)
		tail = append(tail, line...)
	}
	must(t, log.Close(), l.Release())
	records, err := home(root).Read(t.Context(), "a")
	if err != nil || len(records) != n+2 {
		t.Fatalf("%v: the log goes on with %d records, %v", what, len(records), err)
	}
	if got, _ := os.ReadFile(name); !bytes.Equal(got, append(bytes.Join(lines(t, n), nil), tail...)) {
		t.Fatalf("%v: something else is left in the log: %q", what, got)
	}
}

func TestTornTailIsCut(t *testing.T) {
	all := lines(t, 4)
	good, last := bytes.Join(all[:3], nil), all[3]
	for n := range last {
		root, name := logFile(t, append(bytes.Clone(good), last[:n]...))
		records, err := home(root).Read(t.Context(), "a")
		if err != nil || len(records) != 3 {
			t.Fatalf("torn at byte %d: %d records, %v", n, len(records), err)
		}
		goOn(t, root, name, 3, n)
	}
}

// What a lost power leaves behind the last durable record: blocks that were never written, or only in part.
func TestTailAfterPowerLoss(t *testing.T) {
	good, next := bytes.Join(lines(t, 3), nil), lines(t, 4)[3]
	for what, tail := range map[string][]byte{
		"zeros":                      make([]byte, 5000),
		"a zero":                     {0},
		"half a record, zeros":       append(bytes.Clone(next[:20]), make([]byte, 4096)...),
		"a record with zeros inside": append(append(bytes.Clone(next[:20]), make([]byte, 20)...), next[40:]...),
		"zeros, the record's end":    append(make([]byte, len(next)-5), next[len(next)-5:]...),
		"an empty line":              []byte("\n"),
		"another's garbage":          []byte("\x7fELF\n\n{}\n{\"crc\":\"00000000\",\n\xff\xfe"),
	} {
		t.Run(what, func(t *testing.T) {
			root, name := logFile(t, append(bytes.Clone(good), tail...))
			goOn(t, root, name, 3, what)
		})
	}
}

func TestEmptyAndGarbageLogs(t *testing.T) {
	for what, content := range map[string]string{
		"nothing": "", "a newline": "\n", "zeros": strings.Repeat("\x00", 9000), "JSON": "{}\n[]\n{\"seq\":1}\n",
		"text": "not a log\n", "one torn record": `{"crc":"0123`, "brackets": strings.Repeat("[", 2<<20),
	} {
		t.Run(what, func(t *testing.T) {
			records, good, err := journal.Decode(strings.NewReader(content))
			if len(records) > 0 || good != 0 || err != nil {
				t.Errorf("%d records, %d good bytes, %v", len(records), good, err)
			}
			root, name := logFile(t, []byte(content))
			goOn(t, root, name, 0, what)
		})
	}
}

// refused holds that a log is damaged, said with the place, and that neither reading nor going on with it is possible.
func refused(t *testing.T, content []byte, place, what string) {
	t.Helper()
	root, name := logFile(t, content)
	l := take(t, home(root), "taker")
	_, openErr := l.Open(t.Context(), "a")
	_, readErr := home(root).Read(t.Context(), "a")
	for _, err := range []error{openErr, readErr} {
		if !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), place) {
			t.Fatalf("%s: %v, want %q", what, err, place)
		}
	}
	if got, _ := os.ReadFile(name); !bytes.Equal(got, content) {
		t.Fatalf("%s: a damaged log was changed", what)
	}
}

func TestDamagedInTheMiddle(t *testing.T) {
	all := lines(t, 4)
	at := len(all[0])
	for n := range all[1] {
		for _, flip := range []byte{0x01, 0x20, 0xff} {
			content := bytes.Join(all, nil)
			content[at+n] ^= flip
			records, good, err := journal.Decode(bytes.NewReader(content))
			if !errors.Is(err, journal.ErrDamaged) || len(records) != 1 || good != int64(at) {
				t.Fatalf("byte %d of record 2 is wrong: %d records, %d good bytes, %v", n, len(records), good, err)
			}
		}
	}
	content := bytes.Join(all, nil)
	content[at+30] ^= 1
	refused(t, content, "behind record 1", "a wrong byte")
}

func TestDamagedByWholeRecords(t *testing.T) {
	l := lines(t, 4)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	other, err := journal.EncodeLine(event.Record{Seq: 2, Run: "a", Fact: event.Unrecognised{Name: "x", Raw: []byte(`{"fact":"noted","seq":2,"text":7}`)}})
	must(t, err)
	for what, c := range map[string]struct {
		log   []byte
		place string
	}{
		"duplicated":       {join(l[0], l[1], l[1], l[2]), "record 2 stands where 3 should"},
		"last duplicated":  {join(l[0], l[1], l[1]), "record 2 stands where 3 should"},
		"reordered":        {join(l[0], l[2], l[1], l[3]), "record 3 stands where 2 should"},
		"one missing":      {join(l[0], l[2]), "record 3 stands where 2 should"},
		"first missing":    {join(l[1], l[2]), "record 2 stands where 1 should"},
		"another's tail":   {join(l[0], l[1], l[0]), "record 1 stands where 3 should"},
		"a line between":   {join(l[0], []byte("hello\n"), l[1]), "behind record 1"},
		"zeros between":    {join(l[0], make([]byte, 512), l[1], l[2]), "behind record 1"},
		"no newline":       {join(l[0][:len(l[0])-1], l[1], l[2]), "behind record 0"},
		"not as it should": {join(l[0], other), "behind record 1"},
	} {
		t.Run(what, func(t *testing.T) { refused(t, c.log, c.place, what) })
	}
}

func TestDecodeWhateverTheReader(t *testing.T) {
	content := append(bytes.Join(lines(t, 20), nil), "torn"...)
	broken := errors.New("the disk is gone")
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "the end with the data": iotest.DataErrReader,
	} {
		records, good, err := journal.Decode(wrap(bytes.NewReader(content)))
		if err != nil || len(records) != 20 || good != int64(len(content)-4) {
			t.Errorf("by %s: %d records, %d good bytes, %v", name, len(records), good, err)
		}
	}
	if _, _, err := journal.Decode(io.MultiReader(bytes.NewReader(content), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a reader that fails is an end: %v", err)
	}
}

// A record has no limit. 32 MB stand for more: 100 MB come back as well, in over three seconds.
func TestLargeRecord(t *testing.T) {
	begun := time.Now()
	root := t.TempDir()
	log, err := take(t, home(root), "a").Open(t.Context(), "a")
	must(t, err)
	defer log.Close()
	text := strings.Repeat("0123456789abcdef", 32<<20/16)
	must(t, log.Append(t.Context(), event.Record{Run: "a", Fact: event.Noted{Text: text}}, false))
	must(t, log.Append(t.Context(), note(2, 10), false))
	records, err := home(root).Read(t.Context(), "a")
	must(t, err)
	if len(records) != 2 || records[0].Fact != (event.Noted{Text: text}) {
		t.Errorf("%d records", len(records))
	}
	t.Logf("written and read in %s", time.Since(begun))
}
