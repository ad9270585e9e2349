package event

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the wire of every fact into testdata/wire/event.golden")

const golden = "../../testdata/wire/event.golden"

func noon() time.Time { return time.Date(2026, 1, 26, 12, 0, 0, 123456789, time.UTC) }

// full is a fact with something in every field.
func full(t *testing.T, f Fact) Fact {
	t.Helper()
	v := reflect.New(reflect.TypeOf(f)).Elem()
	for i := range v.NumField() {
		field, name := v.Field(i), v.Type().Field(i).Name
		switch p := field.Addr().Interface().(type) {
		case *string:
			*p = name + " <of> \"it\"\n"
		case *Outcome:
			*p = Restored
		case *[]string:
			*p = []string{"one", "two"}
		case *json.RawMessage:
			*p = json.RawMessage(`{"a":[1,null]}`)
		case *bool:
			*p = true
		case **bool:
			*p = new(bool)
		case *time.Time:
			*p = noon()
		case *float64:
			*p = 1.5
		case *int:
			*p = 7
		case *int64:
			*p = 1<<53 + 1
		case *uint64:
			*p = 1<<63 + 1
		default:
			t.Fatalf("%T.%s: no test value for a %s", f, name, field.Type())
		}
	}
	return v.Interface().(Fact)
}

func TestEveryFactRoundTrips(t *testing.T) {
	for _, zero := range All() {
		for i, f := range []Fact{zero, full(t, zero)} {
			in := Record{Seq: 3, Time: noon(), Run: "r", Fact: f}
			b, err := in.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			var out Record
			if err := json.Unmarshal(b, &out); err != nil {
				t.Fatalf("%s: %v", b, err)
			}
			if again, _ := out.MarshalJSON(); !bytes.Equal(again, b) {
				t.Errorf("%s comes back as %s", b, again)
			}
			if i > 0 && !reflect.DeepEqual(in, out) {
				t.Errorf("%s comes back as %+v", b, out)
			}
			if bytes.ContainsRune(b, '\n') || bytes.Contains(b, []byte(`\u003c`)) {
				t.Errorf("hard to read: %s", b)
			}
		}
	}
}

func TestKindsAreTheTypesNames(t *testing.T) {
	seen := map[string]bool{}
	upper := regexp.MustCompile(`(.)([A-Z])`)
	for _, f := range All() {
		want := strings.ToLower(upper.ReplaceAllString(reflect.TypeOf(f).Name(), "${1}_$2"))
		if f.Kind() != want || seen[want] {
			t.Errorf("%T is %q, want %q, once", f, f.Kind(), want)
		}
		seen[want] = true
	}
}

// The set is closed: a type with a Kind that All leaves out would be read back as Unrecognised.
func TestAllIsAll(t *testing.T) {
	listed := []string{"Unrecognised"}
	for _, f := range All() {
		listed = append(listed, reflect.TypeOf(f).Name())
	}
	files, _ := filepath.Glob("*.go")
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Name.Name != "Kind" {
				continue
			}
			if of := fn.Recv.List[0].Type.(*ast.Ident).Name; !slices.Contains(listed, of) {
				t.Errorf("%s is a fact and not in All", of)
			}
		}
	}
}

// A fact's keys stand beside the header's in one object.
func TestKeys(t *testing.T) {
	snake := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	for _, f := range All() {
		taken := map[string]bool{"seq": true, "time": true, "run": true, "fact": true}
		for i := range reflect.TypeOf(f).NumField() {
			field := reflect.TypeOf(f).Field(i)
			key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !snake.MatchString(key) || taken[key] {
				t.Errorf("%T.%s has the key %q", f, field.Name, key)
			}
			taken[key] = true
		}
	}
}

func TestUnrecognised(t *testing.T) {
	for _, line := range []string{
		`{"seq":1,"time":"2026-01-26T12:00:00Z","run":"r","fact":"sparkled","of":"<new>","n":12345678901234567890,"x":{"b":1,"a":2}}`,
		`{ "fact" : "sparkled", "seq":1 }`,
	} {
		var r Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		b, err := r.MarshalJSON()
		if err != nil || string(b) != line || r.Fact.Kind() != "sparkled" || r.Seq != 1 {
			t.Errorf("%s comes back as %s, %v", line, b, err)
		}
	}
}

// What is kept must not change when the reader's buffer does.
func TestUnrecognisedIsACopy(t *testing.T) {
	line := []byte(`{"fact":"sparkled"}`)
	var r Record
	if err := r.UnmarshalJSON(line); err != nil {
		t.Fatal(err)
	}
	clear(line)
	if b, _ := r.MarshalJSON(); string(b) != `{"fact":"sparkled"}` {
		t.Errorf("became %q", b)
	}
}

func TestUnreadable(t *testing.T) {
	for line, want := range map[string]string{
		`{}`:                            `no "fact" in it`,
		`[]`:                            "cannot unmarshal array",
		`{"fact":"noted","text":7}`:     "cannot read a record of noted",
		`{"fact":"noted","seq":"one"}`:  "cannot unmarshal string",
		`{"fact":"noted","time":"now"}`: "parsing time",
		`{"fact":"noted"`:               "unexpected end",
	} {
		var r Record
		if err := json.Unmarshal([]byte(line), &r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}

func TestTimeIsUTC(t *testing.T) {
	east := time.FixedZone("east", 3600)
	b, _ := json.Marshal(Record{Time: noon().In(east), Fact: Noted{}})
	if !bytes.Contains(b, []byte(`"time":"2026-01-26T12:00:00.123456789Z"`)) {
		t.Errorf("%s", b)
	}
}

// The golden file is a promise: a line of it changes only by fields added.
func TestWire(t *testing.T) {
	var b bytes.Buffer
	for i, f := range All() {
		for _, f := range []Fact{f, full(t, f)} {
			line, err := Record{Seq: int64(i + 1), Time: noon(), Run: "20260126t120000-k3f9", Fact: f}.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			b.Write(append(line, '\n'))
		}
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	wants := strings.Split(string(want), "\n")
	for i, got := range strings.Split(b.String(), "\n") {
		if i >= len(wants) || got != wants[i] {
			t.Fatalf("line %d of %s\n got %s\nwant %s", i+1, golden, got, append(wants, "")[min(i, len(wants))])
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, zero := range All() {
		b, _ := Record{Seq: 1, Time: noon(), Run: "r", Fact: zero}.MarshalJSON()
		f.Add(b)
	}
	f.Add([]byte(`{"fact":"sparkled","x":1}`))
	f.Add([]byte(`{"fact":"op_started","params":null,"inverse":"\ud800"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r, back Record
		if json.Unmarshal(data, &r) != nil {
			return
		}
		b, err := r.MarshalJSON()
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%s is not read back: %v", b, err)
		}
		if again, _ := back.MarshalJSON(); !bytes.Equal(again, b) {
			t.Errorf("%s, then %s", b, again)
		}
	})
}
