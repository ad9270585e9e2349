//go:build labs

package register

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/op"
)

func fresh(t *testing.T) (*Register, *kubetest.Lab) {
	t.Helper()
	lab := kubetest.Start(t)
	return New(lab.Conn(t), lab.Namespace(t), "shop"), lab
}

func (r *Register) put(t *testing.T, rec record.Record) bool {
	t.Helper()
	won, err := r.Put(t.Context(), rec)
	if err != nil {
		t.Fatal(err)
	}
	return won
}

func (r *Register) all(t *testing.T, prefix string) []record.Record {
	t.Helper()
	got, err := r.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Of 50 over 5 connections who make one record, or the next term, one wins, and it is his that is there.
func TestLabOneCreatorWins(t *testing.T) {
	r, lab := fresh(t)
	var lines []*Register
	for range 5 {
		lines = append(lines, New(lab.Conn(t), r.Namespace, r.Name))
	}
	for round := range 10 {
		name := fmt.Sprintf("x.%d", round)
		if round%2 == 1 {
			name = termName(int64(round/2 + 1))
		}
		won := make([]bool, 50)
		var wg sync.WaitGroup
		for i := range won {
			wg.Go(func() {
				var err error
				if won[i], err = lines[i%len(lines)].Put(t.Context(), record.Record{Name: name, Data: []byte(fmt.Sprint(i))}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		there := r.all(t, name)
		winners := 0
		for i, w := range won {
			if w {
				winners++
				if len(there) != 1 || string(there[0].Data) != fmt.Sprint(i) {
					t.Errorf("%s: %d has won, and %+v is there", name, i, there)
				}
			}
		}
		if winners != 1 {
			t.Errorf("%s: %d have won", name, winners)
		}
		if r.put(t, record.Record{Name: name, Data: []byte("late")}) || string(r.all(t, name)[0].Data) == "late" {
			t.Error("a late one has won")
		}
	}
}

func TestLabSizes(t *testing.T) {
	r, _ := fresh(t)
	for _, n := range []int{0, 1000, 300 << 10, 5 << 20} {
		rec := record.Record{Name: fmt.Sprintf("size.%d", n), Of: "them", Mark: "mine", Data: noise(n)}
		begun := time.Now()
		if !r.put(t, rec) || !r.put(t, rec) {
			t.Error("put again with its mark, it has not won")
		}
		t.Logf("%d bytes twice: %s", n, time.Since(begun))
		rec.Mark = ""
		if r.put(t, rec) {
			t.Error("another one has won")
		}
		if got := r.all(t, rec.Name); len(got) != 1 || !bytes.Equal(got[0].Data, rec.Data) {
			t.Errorf("%d records of %d bytes", len(got), n)
		}
	}
	of, err := r.ListOf(t.Context(), "them")
	if err != nil || len(of) != 4 {
		t.Errorf("%d belong to it, %v", len(of), err)
	}
	if err := record.DeleteAll(t.Context(), r, append(of, of...)); err != nil {
		t.Error(err)
	}
	left, _, err := r.Conn.List(t.Context(), secrets, r.Namespace, "")
	if err != nil || len(left) > 0 {
		t.Errorf("%d Secrets are left, %v", len(left), err)
	}
}

// Targets share a state namespace, and what others have there is left alone.
func TestLabNeighbours(t *testing.T) {
	r, lab := fresh(t)
	other := New(lab.Conn(t), r.Namespace, "shop2")
	for _, name := range []string{"log.a.1", termName(1)} {
		if !r.put(t, record.Record{Name: name, Of: "a"}) || !other.put(t, record.Record{Name: name, Of: "a"}) {
			t.Errorf("%s: one is in the other's way", name)
		}
	}
	of, err := r.ListOf(t.Context(), "a")
	if err != nil || len(of) != 1 || len(r.all(t, "")) != 2 || len(r.all(t, "log.")) != 1 || len(r.all(t, "log.a.")) != 1 {
		t.Errorf("%+v %+v, %v", of, r.all(t, ""), err)
	}
	theirs := r.wrap(record.Record{Name: "theirs"}, r.object("x.1"), keyText, nil, nil)
	theirs.SetLabels(nil)
	if _, err := r.Conn.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Put(t.Context(), record.Record{Name: "x.1"}); err == nil || !strings.Contains(err.Error(), "somebody else's") {
		t.Error(err)
	}
	nowhere := New(lab.Conn(t), "nowhere", "shop")
	for _, name := range []string{"log.a.1", termName(1)} {
		_, err := nowhere.Put(t.Context(), record.Record{Name: name})
		if err == nil || !strings.Contains(err.Error(), `there is no namespace "nowhere"`) || !strings.Contains(op.HintOf(err), "kubectl create namespace nowhere") {
			t.Errorf("%v (%s)", err, op.HintOf(err))
		}
	}
}

func TestLabWatch(t *testing.T) {
	r, _ := fresh(t)
	ctx, stop := context.WithCancel(t.Context())
	names := r.Watch(ctx, "lease.")
	r.put(t, record.Record{Name: "log.1"})
	r.put(t, record.Record{Name: "lease.ask.1"})
	if got := <-names; got != "lease.ask.1" {
		t.Errorf("created: %s", got)
	}
	if err := r.Delete(t.Context(), record.Record{Name: "lease.ask.1"}); err != nil {
		t.Fatal(err)
	}
	if got := <-names; got != "lease.ask.1" {
		t.Errorf("removed: %s", got)
	}
	for n := range int64(2) {
		r.put(t, record.Record{Name: termName(n + 1)})
		if got := <-names; got != termName(n+1) {
			t.Errorf("a term: %s", got)
		}
	}
	stop()
	for range names {
	}
}

// What people see with kubectl.
func TestLabKubectl(t *testing.T) {
	r, lab := fresh(t)
	sign := func(id string) []byte {
		return []byte(`{"id":"` + id + `","owner":{"run":"r","user":"ana","host":"ci-7","pid":4711}}`)
	}
	show := func(fields string) string {
		return lab.Kubectl(t, "get", "lease", "-n", r.Namespace, "runner-shop", "-o", "jsonpath="+fields)
	}
	const spec = "{.spec.holderIdentity},{.spec.leaseDurationSeconds},{.spec.leaseTransitions}"
	for i, c := range []struct{ id, want string }{
		{"A", "ana@ci-7 4711,15,1"}, {"A", "ana@ci-7 4711,15,1"}, {"B", "ana@ci-7 4711,15,2"}, {"", ",15,2"}, {"B", "ana@ci-7 4711,15,3"},
	} {
		r.put(t, record.Record{Name: termName(int64(i + 1)), Data: sign(c.id)})
		if got := show(spec); got != c.want {
			t.Errorf("term %d: %s, want %s", i+1, got, c.want)
		}
		if when := show("{.spec.renewTime}"); when == "" {
			t.Error("no renewTime")
		}
	}
	r.put(t, record.Record{Name: "log.20260126t120000-k3f9.000000001", Of: "20260126t120000-k3f9", Data: []byte("hello\n")})
	got := strings.Fields(lab.Kubectl(t, "get", "secrets", "-n", r.Namespace, "--no-headers"))
	if len(got) < 3 || !slices.Equal(got[:3], []string{"runner-undo-shop-20260126t120000-k3f9-000000001", "erlmcp.org/runner-record", "1"}) {
		t.Errorf("%q", got)
	}
	t.Log("\n" + lab.Kubectl(t, "get", "lease,secret", "-n", r.Namespace))
}

// A record of which the answer is lost is put again, and its fate known: the server has made it, or not.
func TestLabLostAnswers(t *testing.T) {
	r, lab := fresh(t)
	for i, f := range []kubetest.Fault{{Drop: true}, {Cut: true}, {Status: 500}, {Status: 503, Cut: true}, {Status: 429, After: 1}} {
		p := lab.Proxy(t)
		through := New(p.Conn(t), r.Namespace, r.Name)
		p.Times(1, "create secrets", f)
		p.Times(1, "create leases", f)
		p.Times(1, "update leases", f)
		for _, name := range []string{fmt.Sprintf("x.%d", i), termName(int64(i + 1))} {
			if rec := (record.Record{Name: name, Data: []byte("mine")}); !through.put(t, rec) || string(r.all(t, name)[0].Data) != "mine" {
				t.Errorf("%+v: %s was not won", f, name)
			}
		}
	}
}
