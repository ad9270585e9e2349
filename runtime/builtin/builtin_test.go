package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

type driver interface{ driver() }

type Unit struct {
	Name string `json:"name" doc:"The unit."`
}

type Nested struct {
	Kind string `json:"kind" doc:"A field of its own."`
}

func (Unit) driver() {}

type Token struct {
	Name string `json:"name" doc:"The variable."`
}

func (t Token) Make() (any, error) {
	if t.Name == "panic" {
		var m map[string]int
		m["x"]++
	}
	return secret.Env(t.Name), nil
}

// Deploy has a field of every type that an op may have.
type Deploy struct {
	_       op.Doc                 `doc:"Deploys."`
	Root    string                 `json:"root" doc:"Where."`
	ID      string                 `json:"id" doc:"What."`
	Dry     bool                   `json:"dry,omitempty" doc:"Try."`
	Count   int8                   `json:"count,omitempty" doc:"How many."`
	Mode    uint16                 `json:"mode,omitempty" doc:"The mode."`
	Ratio   float64                `json:"ratio,omitempty" doc:"The part."`
	Timeout op.Duration            `json:"timeout" doc:"How long."`
	Size    op.Size                `json:"size,omitempty" doc:"How large."`
	At      time.Time              `json:"at,omitzero" doc:"When."`
	Token   secret.Text            `json:"token,omitzero" doc:"Who."`
	Env     map[string]secret.Text `json:"env,omitempty" doc:"Around it."`
	Argv    []string               `json:"argv,omitempty" doc:"The program."`
	Matrix  [][]int                `json:"matrix,omitempty" doc:"Numbers."`
	Units   map[string]driver      `json:"units,omitempty" doc:"By name."`
	Service driver                 `json:"service,omitempty" doc:"What runs it."`
	Unit    *Unit                  `json:"unit,omitempty" doc:"One."`
	Given   *int                   `json:"given,omitempty" doc:"Or not."`
	Body    any                    `json:"body,omitempty" doc:"Anything."`
	Raw     []byte                 `json:"raw,omitempty" doc:"Bytes."`
	When    op.Func                `json:"when,omitzero" doc:"Whether."`
	Key     op.Key                 `json:"key"`
	Own     string                 `json:"own,omitempty" script:"-"`
}

func (Deploy) Summary() string { return "deploy" }
func (Deploy) Do(context.Context, struct{}) (*Result, error) {
	return nil, nil
}
func (d Deploy) Check() error {
	if d.Count == 13 {
		return errors.New("count: want any number but 13")
	}
	return nil
}

type Result struct {
	ID     string                 `json:"id" doc:"Its number."`
	Took   time.Duration          `json:"took" doc:"How long."`
	Size   op.Size                `json:"size" doc:"How large."`
	Made   time.Time              `json:"made,omitzero" doc:"When."`
	Parent *Result                `json:"parent,omitempty" doc:"The one before."`
	Tags   []string               `json:"tags,omitempty" doc:"Words."`
	By     map[string]Unit        `json:"by,omitempty" doc:"By name."`
	Env    map[string]secret.Text `json:"env,omitempty" doc:"Around it."`
	Doc    json.RawMessage        `json:"doc,omitempty" doc:"What it answers."`
	Err    error                  `json:"err,omitempty" doc:"Why not."`
	Key    op.Key                 `json:"key,omitempty"`
}

func testFamilies() []Family {
	return []Family{
		NewFamily("app", "Applications. And more.",
			op.Final(struct{}{}, Deploy{Timeout: op.Duration(time.Minute)}, "it is gone"),
			Global(Unit{}), Value(Nested{}), Value(Token{})),
	}
}

// eval evaluates an expression over the test family; performed is what it would have performed.
func eval(t testing.TB, expr string, give any) (v starlark.Value, performed *op.Bound, err error) {
	t.Helper()
	calls := &Calls{Kinds: NewKinds(testFamilies()),
		Perform: func(_ *starlark.Thread, b op.Bound) (any, error) {
			performed = &b
			return give, nil
		},
		Func: func(_ *starlark.Thread, f *starlark.Function) (op.Func, error) { return op.Func{Name: f.Name()}, nil },
	}
	env := calls.Predeclared(testFamilies())
	env["unknown"] = Unknown{op.Unknown{After: "build.go"}}
	env["struct"] = starlark.NewBuiltin("struct", MakeStruct)
	v, err = starlark.EvalOptions(&syntax.FileOptions{Set: true}, &starlark.Thread{}, "x.star", expr, env)
	return v, performed, err
}

func TestBindEveryType(t *testing.T) {
	three := 3
	for expr, want := range map[string]func(*Deploy){
		`dry = True`:                         func(d *Deploy) { d.Dry = true },
		`count = -128, mode = 0o755`:         func(d *Deploy) { d.Count, d.Mode = -128, 0o755 },
		`ratio = 1`:                          func(d *Deploy) { d.Ratio = 1 },
		`timeout = "5m30s", size = "2GiB"`:   func(d *Deploy) { d.Timeout, d.Size = op.Duration(330*time.Second), 2<<30 },
		`timeout = None`:                     func(*Deploy) {},
		`at = "2026-01-02T03:04:05Z"`:        func(d *Deploy) { d.At = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
		`token = "plain"`:                    func(d *Deploy) { d.Token = secret.Plain("plain") },
		`token = app.token("T")`:             func(d *Deploy) { d.Token = secret.Env("T") },
		`env = {"A": app.token("T")}`:        func(d *Deploy) { d.Env = map[string]secret.Text{"A": secret.Env("T")} },
		`argv = ("a", "b")`:                  func(d *Deploy) { d.Argv = []string{"a", "b"} },
		`matrix = [[1], range(2)]`:           func(d *Deploy) { d.Matrix = [][]int{{1}, {0, 1}} },
		`units = {"a": unit("x")}`:           func(d *Deploy) { d.Units = map[string]driver{"a": Unit{"x"}} },
		`service = unit("x")`:                func(d *Deploy) { d.Service = Unit{"x"} },
		`unit = unit("x"), given = 3`:        func(d *Deploy) { d.Unit, d.Given = &Unit{"x"}, &three },
		`body = {"a": [1, 2.5, None, True]}`: func(d *Deploy) { d.Body = map[string]any{"a": []any{int64(1), 2.5, nil, true}} },
		`body = struct(u = unit("x"))`:       func(d *Deploy) { d.Body = map[string]any{"u": Unit{"x"}} },
		`raw = "bytes"`:                      func(d *Deploy) { d.Raw = []byte("bytes") },
	} {
		d := Deploy{Root: "/r", ID: "7", Timeout: op.Duration(time.Minute)}
		want(&d)
		_, got, err := eval(t, `app.deploy("/r", id = "7", `+expr+`)`, nil)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
		} else if !reflect.DeepEqual(got.Params, d) || got.Unknown != nil {
			t.Errorf("%s\n got %+v\nwant %+v", expr, got.Params, d)
		}
	}
}

func TestBindRefuses(t *testing.T) {
	for expr, want := range map[string]string{
		`app.deploy()`:                                     "missing root and id",
		`app.deploy("/r")`:                                 "missing id",
		`app.deploy("/r", "7", True)`:                      "takes 2 arguments by position, got 3",
		`app.deploy("/r", root = "/x", id = "7")`:          "root: given twice",
		`app.deploy("/r", "7", timeuot = "5s")`:            "there is no parameter timeuot (did you mean timeout?)",
		`app.deploy("/r", "7", servcie = 1)`:               "(did you mean service?)",
		`app.deploy("/r", "7", key = "x")`:                 "there is no parameter key",
		`app.deploy("/r", "7", own = "x")`:                 "there is no parameter own",
		`app.deploy("/r", None)`:                           "id: want a string, got None",
		`app.deploy("/r", 7)`:                              "id: want a string, got int",
		`app.deploy("/r", "7", dry = 1)`:                   "dry: want True or False, got int",
		`app.deploy("/r", "7", count = 128)`:               "count: 128 is out of range",
		`app.deploy("/r", "7", count = True)`:              "count: want an int, got bool",
		`app.deploy("/r", "7", count = 1.0)`:               "count: want an int, got float",
		`app.deploy("/r", "7", mode = -1)`:                 "mode: -1 is out of range: want 0 to 65535",
		`app.deploy("/r", "7", ratio = "1")`:               `ratio: want a number, got "1"`,
		`app.deploy("/r", "7", timeout = 90)`:              `timeout: want a duration such as "90s", got int`,
		`app.deploy("/r", "7", timeout = "90")`:            `timeout: want a duration such as "90s", got "90"`,
		`app.deploy("/r", "7", size = 1.5)`:                `size: want a size such as "2GiB", got float`,
		`app.deploy("/r", "7", at = 3)`:                    "at: want a string, got int",
		`app.deploy("/r", app.token("T"))`:                 "id: want a string, got a secret, which this parameter would show",
		`app.deploy("/r", "7", argv = [app.token("T")])`:   "argv[0]: want a string, got a secret",
		`app.deploy("/r", "7", argv = "a b")`:              `argv: want a list of strings, got "a b"`,
		`app.deploy("/r", "7", argv = ["a", ["b"]])`:       "argv[1]: want a string, got list",
		`app.deploy("/r", "7", matrix = [[1], ["x"]])`:     `matrix[1][0]: want an int, got "x"`,
		`app.deploy("/r", "7", env = ["A"])`:               "env: want a dict of strings or secrets, got list",
		`app.deploy("/r", "7", units = {"a": 1})`:          `units["a"]: want a unit, got int`,
		`app.deploy("/r", "7", service = app.nested("x"))`: "service: want a unit, got app.nested",
		`app.deploy("/r", "7", body = len)`:                "body: want plain data, got builtin_function_or_method",
		`app.deploy("/r", "7", when = lambda: 1)`:          "when: want a function of a file, got lambda",
		`app.deploy("/r", "7", when = len)`:                "when: want a function, got builtin_function_or_method",
		`app.deploy("/r", "7", count = 13)`:                "count: want any number but 13",
		`app.deploy("/r", "7", argv = range(1 << 40))`:     "argv: want at most 1048576 elements, got 1099511627776",
		`app.deploy("/r", "7", body = range(1 << 40))`:     "body: want at most 1048576 elements",
		`app.token("panic")`:                               "a fault of runner itself",
		`app.deplyo`:                                       "app has no deplyo (did you mean deploy?)",
		`unit("x").nmae`:                                   "unit has no nmae (did you mean name?)",
		`unit("x") < unit("y")`:                            "cannot order unit by <",
		`{unit("x"): 1}`:                                   "unhashable",
		`{app.token("x"): 1}`:                              "unhashable",
		`app.token("x") + "y"`:                             "cannot be put into a text with +",
		`"y" + app.token("x")`:                             "cannot be put into a text with +",
		`app.token("x") % 3`:                               "cannot be put into a text with %",
		`unknown + 1`:                                      "‹known after build.go› is used",
		`{unknown: 1}`:                                     "is used",
		`unknown == unknown`:                               "is used",
		`[x for x in unknown]`:                             "not iterable",
	} {
		_, performed, err := eval(t, expr, nil)
		if err == nil || !strings.Contains(err.Error(), want) || performed != nil {
			t.Errorf("%s\n got %v\nwant %s", expr, err, want)
		}
	}
}

func TestUnknownsAreMarked(t *testing.T) {
	const mask = "‹known after build.go›"
	for args, want := range map[string]map[string]string{
		`unknown, "7"`:                                            {"root": mask},
		`"/r/%s" % unknown.id, "7"`:                               {"root": "/r/" + mask},
		`"/r", "7", timeout = unknown, dry = unknown`:             {"timeout": mask, "dry": mask},
		`"/r", "7", size = "x" + str(unknown)`:                    {"size": "x" + mask},
		`"/r", "7", argv = ["a", [unknown]]`:                      {"argv": mask},
		`"/r", "7", body = struct(a = {"b": unknown})`:            {"body": mask},
		`"/r", "7", env = {"A": unknown}, units = {"a": unknown}`: {"env": mask, "units": mask},
		`"/r", "7", service = unit(unknown)`:                      {"service": mask},
		`"/r", "7", count = 13, dry = unknown`:                    {"dry": mask}, // its own rules wait until all is known
	} {
		_, b, err := eval(t, "app.deploy("+args+")", nil)
		if strings.Contains(args, "[[") || strings.Contains(args, "[unknown]]") {
			if err == nil { // a list where a text belongs is wrong, known or not
				t.Errorf("%s is taken", args)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(b.Unknown, want) {
			t.Errorf("%s: %v, %v", args, b, err)
		}
	}
}

func TestResultsAsScriptsSeeThem(t *testing.T) {
	r := &Result{ID: "7", Took: 90 * time.Second, Size: 3 << 20, Made: time.Unix(0, 0), Parent: &Result{ID: "6"},
		Tags: []string{"a"}, By: map[string]Unit{"x": {"y"}}, Env: map[string]secret.Text{"A": secret.Env("T"), "B": secret.Plain("p")},
		Doc: json.RawMessage(`{"n": 1, "l": [true, null, 2.5]}`), Err: errors.New("no"), Key: "k"}
	for expr, want := range map[string]string{
		`.id`: `"7"`, `.took`: `"1m30s"`, `.size`: `"3MiB"`, `.made`: `"1970-01-01T00:00:00Z"`, `.parent.id`: `"6"`,
		`.parent.parent`: "None", `.parent.made`: "None", `.tags`: `["a"]`, `.parent.tags`: "[]", `.by["x"].name`: `"y"`, `.by["x"].kind`: `"unit"`,
		`.env`: `{"A": ‹secret T›, "B": "p"}`, `.doc`: `{"l": [True, None, 2.5], "n": 1}`, `.doc["n"] + 1`: "2", `.err`: `"no"`,
		` == app.deploy("", "")`: "True", `.parent == app.deploy("", "")`: "False",
	} {
		v, _, err := eval(t, `app.deploy("", "")`+expr, r)
		if err != nil || Repr(v) != want {
			t.Errorf("%s is %v, %v, want %s", expr, v, err, want)
		}
	}
	for _, expr := range []string{`.key`, `.kind`, `.tags.append(1)`, `.by.clear()`} {
		if v, _, err := eval(t, `app.deploy("", "")`+expr, r); err == nil {
			t.Errorf("%s gives %v", expr, v)
		}
	}
	if v, _, err := eval(t, `app.deploy("", "")`, (*Result)(nil)); err != nil || v != starlark.None {
		t.Errorf("no result is %v, %v", v, err)
	}
	if v, _, err := eval(t, `app.nested("x").kind`, nil); err != nil || v != starlark.String("x") {
		t.Errorf("a field named kind is %v, %v", v, err)
	}
	k := NewKinds(nil)
	if v := k.Starlark(op.Size(3<<20 + 1)); v != starlark.String("3145729B") {
		t.Errorf("a size that is not round is %v", v)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"timeout", "root", "id", "service", "keep_all"}
	for in, want := range map[string]string{
		"timeuot": "timeout", "tiemout": "timeout", "rot": "root", "Root": "root", "keepAll": "keep_all", "servic": "service",
		"xyz": "", "": "", "timeout": "", "x": "", strings.Repeat("a", 1<<20): "",
	} {
		if got := Nearest(in, names); got != want {
			t.Errorf("%.20s is near %q, want %q", in, got, want)
		}
	}
}

func TestPrintEnds(t *testing.T) {
	wide := starlark.NewList(nil)
	for range 10 {
		l := starlark.NewList(nil)
		for range 100 {
			l.Append(wide)
		}
		wide = l
	}
	if got := Repr(wide); len(got) > maxPrinted+100 {
		t.Errorf("100^10 elements print as %d bytes", len(got))
	}
	long := starlark.String(strings.Repeat("é", 1<<20))
	if got := Repr(long); len(got) > maxPrinted+100 || !strings.HasSuffix(got, "...") {
		t.Errorf("a long text prints as %d bytes", len(got))
	}
	if Print(long) != string(long) {
		t.Error("a text is not printed as it is")
	}
}
