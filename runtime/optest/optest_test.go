package optest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

var _ = flag.Bool("update", false, "write testdata/wire/toy.golden")

// TestMain runs the suite over the toy family in a module of its own, so that its golden file is not among the real ones.
func TestMain(m *testing.M) {
	root, err := os.MkdirTemp("", "optest")
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "go.mod"), nil, 0o600)
	}
	if err == nil {
		err = os.Chdir(root)
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(root)
	os.Exit(code)
}

func TestAGoodFamilyPasses(t *testing.T) {
	b, err := Suite{Family: toy}.bind(&host.Host{})
	if err != nil {
		t.Fatal(err)
	}
	if got := listen(t, func(t testing.TB) { b.golden(t) }); len(got) != 1 || !strings.Contains(got[0], "was missing and is written") {
		t.Errorf("the first golden: %q", got)
	}
	Run(t, Suite{Family: toy, Worlds: Worlds{"switch": switching(""), "switch: to the same": folder(func(dir string) any { return Switch{Dir: dir, To: "1"} }), "peek": peeking("")}})
}

// ear hears what a check says instead of failing the test.
type ear struct {
	testing.TB
	said []string
}

func (e *ear) Helper() {}
func (e *ear) Errorf(format string, args ...any) {
	e.said = append(e.said, fmt.Sprintf(format, args...))
}
func (e *ear) Error(args ...any)                 { e.said = append(e.said, fmt.Sprint(args...)) }
func (e *ear) Fatalf(format string, args ...any) { e.Errorf(format, args...); runtime.Goexit() }
func (e *ear) Fatal(args ...any)                 { e.Error(args...); runtime.Goexit() }

func listen(t *testing.T, check func(testing.TB)) []string {
	e := &ear{TB: t}
	done := make(chan struct{})
	go func() { defer close(done); check(e) }()
	<-done
	return e.said
}

// Each fault is found, by the rule that it breaks.
func TestEveryRuleCanFail(t *testing.T) {
	for _, c := range []struct {
		name, fault, rule, want string
		world                   func(fault string) func(testing.TB) World
	}{
		{"switch", "preview writes", "looking changes nothing", "on a frozen host: ", switching},
		{"switch", "preview writes behind the host's back", "looking changes nothing", "looking changed the world", switching},
		{"switch", "preview waits", "looking changes nothing", "on a frozen host: sleep", switching},
		{"switch", "difference writes", "looking changes nothing", "on a frozen host", switching},
		{"switch", "inverse writes", "looking changes nothing", "on a frozen host", switching},
		{"peek", "dials", "looking changes nothing", "on a frozen host: dial", peeking},
		{"switch", "summary", "looking changes nothing", "its summary is not a line", switching},
		{"switch", "mute", "says what it does", "says nothing for over 1s", switching},
		{"switch", "deaf", "ends when told", "ends after 1.2", switching},
		{"switch", "forgets", "is put back", "not put back; was\nlink 1, runs 1\nis\nlink 1, runs 2", switching},
		{"switch", "has no inverse", "is put back", "not put back; was", switching},
		{"switch", "loses on the wire", "is put back", "not put back", switching},
		{"switch", "never already", "is put back", "not that it was already so", switching},
		{"switch", "is relative", "is put back", "not put back; was\nlink 1, runs 1\nis\nlink 2", switching},
		{"switch", "half is a conflict", "half of it is put back", `stopped at "stopped": not put back: `, switching},
		{"switch", "goes on", "half of it is put back", `stopped at "stopped", switch goes on`, switching},
		{"switch", "its own half is a conflict", "half of it is put back", `its inverse stopped at "switched back": not put back: `, switching},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			got := listen(t, func(t testing.TB) { rules()[c.rule](t, Suite{Family: toy}, c.name, c.world(c.fault)) })
			if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, c.want) }) {
				t.Errorf("want %q, heard %q", c.want, got)
			}
		})
	}
}

type Bare struct {
	Field string `json:"field" doc:"not a sentence"`
	Other string `json:"other,omitempty"`
}

func (Bare) Summary() string { return " " }

func (Bare) Do(context.Context, *host.Host) (struct {
	X int `json:"x"`
}, error) {
	panic("never performed")
}

type Forgetful struct {
	_    op.Doc `doc:"Does not come back from the wire as it was."`
	Lost string `json:"-"`
	Odd  odd    `json:"odd" doc:"A text."`
}

// odd writes more than it reads.
type odd string

func (o odd) MarshalText() ([]byte, error)     { return []byte(o + "!"), nil }
func (o *odd) UnmarshalText(text []byte) error { *o = odd(text); return nil }

func (Forgetful) Summary() string                                  { return "forget" }
func (Forgetful) Do(context.Context, *host.Host) (struct{}, error) { panic("never performed") }

func TestPaperCanFail(t *testing.T) {
	family := func(h *host.Host) builtin.Family {
		return builtin.NewFamily("poor", "Breaks the rules on paper.", op.Final(h, Bare{}, " "), op.Read(h, Forgetful{Odd: "x"}), op.Change(h, Switch{}))
	}
	s := Suite{Family: family, Worlds: Worlds{"swich": nil}}
	b, err := s.bind(&host.Host{})
	if err != nil {
		t.Fatal(err)
	}
	got := s.unmatched(b.family)
	for _, spec := range b.family.Ops {
		got = append(got, listen(t, func(t testing.TB) { b.paper(t, spec) })...)
	}
	for _, want := range []string{
		`poor.bare: its summary is not a line`, `poor.bare: what it is for is no sentence: ""`, `poor.bare: the doc of field is no sentence: "not a sentence"`,
		`the doc of other is no sentence: ""`, `poor.bare gives a : the doc of x is no sentence`, `poor.bare does not say why it cannot be taken back`,
		`these fields are not on the wire: Lost`,
		`{"op":"poor.forgetful","params":{"odd":"x!"}} comes back from the wire as {"op":"poor.forgetful","params":{"odd":"x!!"}}`, `the world "swich" is for no op of poor`, `poor.switch changes what serves and has no world`,
	} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("not heard: %s", want)
		}
	}
	if len(got) != 11 {
		t.Errorf("%d complaints: %q", len(got), got)
	}
}

func TestGoldenCanFail(t *testing.T) {
	b, err := Suite{Family: toy}.bind(&host.Host{})
	if err != nil {
		t.Fatal(err)
	}
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(root, "testdata", "wire", "toy.golden")
	listen(t, func(t testing.TB) { b.golden(t) })
	const want = "toy.switch (change)\n" +
		"\t{\"op\":\"toy.switch\",\"params\":{\"dir\":\"\",\"to\":\"\",\"key\":\"\"}}\n" +
		"\t{\"op\":\"toy.switch\",\"params\":{\"dir\":\"text\",\"to\":\"text\",\"fault\":\"text\",\"key\":\"text\"}}\n"
	text, _ := os.ReadFile(name)
	if !strings.HasPrefix(string(text), want) || !strings.Contains(string(text), `"text":{"secret":{"env":"NAME"}},"within":"1m30s","size":"2147483648B"`) {
		t.Errorf("wrote\n%s", text)
	}
	if err := os.WriteFile(name, []byte(strings.ReplaceAll(string(text), `"dir"`, `"folder"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	got := listen(t, func(t testing.TB) { b.golden(t) })
	if len(got) != 1 || !strings.Contains(got[0], "the wire differs") {
		t.Errorf("a renamed field: %q", got)
	}
	os.Remove(name)
}

// What fills a struct fills every field of it, so that the golden file shows each.
func TestFullIsFull(t *testing.T) {
	b, err := Suite{Family: toy}.bind(&host.Host{})
	if err != nil {
		t.Fatal(err)
	}
	v := b.full(reflect.TypeFor[Part](), 0)
	for _, f := range op.Fields(v.Type()) {
		if v.FieldByIndex(f.Index).IsZero() != (f.Name == "mode") {
			t.Errorf("%s is %v", f.Name, v.FieldByIndex(f.Index))
		}
	}
	closed := b.full(reflect.TypeFor[interface{ part() }](), 0)
	if p, ok := closed.Interface().(Part); !ok || p.Within == 0 {
		t.Errorf("a closed interface is filled with %v", closed)
	}
}
