package good

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/op"
)

// shelf is a register in memory.
type shelf map[string]record.Record

func (s shelf) Put(_ context.Context, rec record.Record) (bool, error) {
	if _, taken := s[rec.Name]; taken {
		return false, nil
	}
	s[rec.Name] = rec
	return true, nil
}

func (s shelf) all(keep func(record.Record) bool) (out []record.Record, err error) {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if keep(s[name]) {
			out = append(out, s[name])
		}
	}
	return out, nil
}

func (s shelf) List(_ context.Context, prefix string) ([]record.Record, error) {
	return s.all(func(r record.Record) bool { return strings.HasPrefix(r.Name, prefix) })
}

func (s shelf) ListOf(_ context.Context, of string) ([]record.Record, error) {
	return s.all(func(r record.Record) bool { return r.Of == of })
}

func (s shelf) Delete(_ context.Context, rec record.Record) error { delete(s, rec.Name); return nil }

func (s shelf) Watch(context.Context, string) <-chan string { panic("not used here") }

func (s shelf) Where(name string) string { return "the shelf " + name }

type set struct {
	Images []string `json:"images"`
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// What was accepted by an earlier build of runner is read: its records have these fields.
func TestRecord(t *testing.T) {
	reg, at := shelf{}, time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	done := must[Deployment[set]](t)(Accept(t.Context(), reg, "r1", Head{"1.0", at}, set{[]string{"a"}}))
	want := `{"at":"2026-11-29T12:00:00Z","images":["a"],"version":"1.0"}`
	if got := string(reg["good.000000001.r1"].Data); got != want || done.Number != 1 || !done.Live {
		t.Errorf("%+v\n%s", done, got)
	}
	all := must[[]Deployment[set]](t)(List[set](t.Context(), reg))
	if len(all) != 1 || all[0].Run != "r1" || all[0].Head != done.Head || !slices.Equal(all[0].Body.Images, []string{"a"}) || all[0].Live {
		t.Errorf("%+v", all)
	}
	reg["good.000000002.r2"] = record.Record{Name: "good.000000002.r2", Data: []byte("?")}
	if _, err := List[set](t.Context(), reg); err == nil || !strings.Contains(err.Error(), "in the shelf good.000000002.r2: it holds something else") {
		t.Error(err)
	}
}

func TestAcceptAgain(t *testing.T) {
	reg := shelf{}
	for _, run := range []string{"r1", "r2", "r1"} {
		must[Deployment[set]](t)(Accept(t.Context(), reg, run, Head{}, set{}))
	}
	if names := slices.Sorted(maps.Keys(reg)); !slices.Equal(names, []string{"good.000000002.r2", "good.000000003.r1"}) {
		t.Errorf("%q", names)
	}
	if err := errors.Join(Forget(t.Context(), reg, "r1"), Forget(t.Context(), reg, "r1")); err != nil || len(reg) != 1 {
		t.Errorf("%v, %v", reg, err)
	}
}

// The last wish of a run counts, and it outlives the tidying of its own run alone.
func TestWanted(t *testing.T) {
	reg, key := shelf{}, op.Key("r1/1")
	if got := must[*set](t)(Wanted[set](t.Context(), reg, "r1")); got != nil {
		t.Errorf("%+v", got)
	}
	for _, images := range []string{"a", "b"} {
		if err := Want(t.Context(), reg, key, set{[]string{images}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := Want(t.Context(), reg, "r2/1", set{}); err != nil {
		t.Fatal(err)
	}
	if got := must[*set](t)(Wanted[set](t.Context(), reg, "r1")); got.Images[0] != "b" {
		t.Errorf("%+v", got)
	}
	if err := Unwant(t.Context(), reg, key); err != nil || len(reg) != 2 || must[*set](t)(Wanted[set](t.Context(), reg, "r2")) != nil {
		t.Errorf("%v, %v", reg, err)
	}
}

// deployments are good ones, the latest first, each "RUN VERSION", the live one with a star; "r4" has the number 4.
func deployments(names ...string) (out []Deployment[set]) {
	for _, n := range names {
		name, live := strings.CutSuffix(n, "*")
		run, version, _ := strings.Cut(name, " ")
		d := Deployment[set]{Run: run, Head: Head{Version: version}, Live: live}
		fmt.Sscanf(run, "r%d", &d.Number)
		out = append(out, d)
	}
	return out
}

func TestChoose(t *testing.T) {
	all := deployments("r4 1.3*", "r3 1.2", "r2 1.2", "r1 1.1")
	for name, want := range map[string]string{"": "r3", "r2": "r2", "1.2": "r3", "1.1": "r1", "r4": "r4", "2": "r2"} {
		if got, err := Choose(all, name, "x.accept"); err != nil || got.Run != want {
			t.Errorf("%q is %s, %v, want %s", name, got.Run, err, want)
		}
	}
	// A live deployment that is not the latest: somebody has gone back. The latest is what comes before it then.
	if got, err := Choose(deployments("r2 2", "r1 1*"), "", "x.accept"); err != nil || got.Run != "r2" {
		t.Errorf("%s, %v", got.Run, err)
	}
	for name, want := range map[string][2]string{
		"":    {"there is no good deployment but what serves now", "a deployment is good once x.accept has marked it; the last ones are kept"},
		"1.4": {"there is no good deployment 1.4 (did you mean 1.3?)", "there are: 4 (r4 1.3)"},
	} {
		if _, err := Choose(deployments("r4 1.3*"), name, "x.accept"); err == nil || err.Error() != want[0] || op.HintOf(err) != want[1] {
			t.Errorf("%q: %v, %s", name, err, op.HintOf(err))
		}
	}
}

// TestSurplus: whatever came before, the live deployment stays, and the last before it, and of the rest the latest.
func TestSurplus(t *testing.T) {
	for _, c := range []struct {
		all  []Deployment[set]
		keep int
		want string
	}{
		{deployments("r5*", "r4", "r3", "r2", "r1"), 3, "r2 r1"},
		{deployments("r5*", "r4", "r3"), 5, ""},
		{deployments("r5*", "r4", "r3"), 1, "r3"},
		{deployments("r5", "r4", "r3*", "r2", "r1"), 1, "r4 r1"},
		{deployments("r5", "r4", "r3", "r2*"), 1, "r4 r3"},
		{deployments("r3", "r2", "r1"), 2, "r1"}, // nothing of it is live
	} {
		var names []string
		for _, g := range Surplus(c.all, c.keep) {
			names = append(names, g.Run)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("of %v %q go, want %q", c.all, got, c.want)
		}
	}
}
