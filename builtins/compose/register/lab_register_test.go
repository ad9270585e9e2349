//go:build labs

package register

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/host"
)

// open is a register of a project, over a connection of its own.
func open(t *testing.T, project, address string) *Register {
	t.Helper()
	e, err := daemon.NewPool(&host.Host{Files: host.OS{}, Clock: host.SystemClock{}, Env: os.Environ()}).Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return &Register{Engine: e.Client, Project: project, Clock: host.SystemClock{}}
}

// fresh is the register of a new project, of which nothing is left in the end.
func fresh(t *testing.T) *Register {
	t.Helper()
	r := open(t, "runner-test-"+strings.ToLower(rand.Text()[:10]), "")
	t.Cleanup(func() {
		all, err := r.List(context.Background(), "")
		for _, rec := range all {
			err = errors.Join(err, r.Delete(context.Background(), rec))
		}
		if err != nil {
			t.Error(err)
		}
	})
	return r
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

func TestLabOneCreatorWins(t *testing.T) {
	r := fresh(t)
	var lines []*Register
	for range 5 {
		lines = append(lines, open(t, r.Project, ""))
	}
	for round := range 10 {
		name := fmt.Sprintf("x.%d", round)
		won := make([]bool, 50)
		var wg sync.WaitGroup
		for i := range won {
			wg.Go(func() {
				var err error
				won[i], err = lines[i%len(lines)].Put(t.Context(), record.Record{Name: name, Data: []byte(fmt.Sprint(i))})
				if err != nil {
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
					t.Errorf("%d has won, and %+v is there", i, there)
				}
			}
		}
		if winners != 1 {
			t.Errorf("%d have won", winners)
		}
		if r.put(t, record.Record{Name: name, Data: []byte("late")}) || string(r.all(t, name)[0].Data) == "late" {
			t.Error("a late one has won")
		}
	}
}

func TestLabSizes(t *testing.T) {
	r := fresh(t)
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
	for _, rec := range of {
		if err := errors.Join(r.Delete(t.Context(), rec), r.Delete(t.Context(), rec)); err != nil {
			t.Error(err)
		}
	}
	left, err := r.Engine.VolumeList(t.Context(), client.VolumeListOptions{Filters: client.Filters{}.Add("name", "^"+r.Project)})
	if err != nil || len(left.Items) > 0 {
		t.Errorf("%d volumes are left, %v", len(left.Items), err)
	}
}

func TestLabNames(t *testing.T) {
	r := fresh(t)
	if _, err := r.Put(t.Context(), record.Record{Name: strings.Repeat("x", 250)}); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Error(err)
	}
	if _, err := r.Put(t.Context(), record.Record{Name: "a/b"}); err == nil {
		t.Error("a name with a slash is taken")
	}
	theirs := r.volume("theirs")
	if _, err := r.Engine.VolumeCreate(t.Context(), client.VolumeCreateOptions{Name: theirs, Labels: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	defer r.remove(context.Background(), theirs)
	if _, err := r.Put(t.Context(), record.Record{Name: "theirs"}); err == nil || !strings.Contains(err.Error(), "somebody else's") {
		t.Error(err)
	}
}

func TestLabWatch(t *testing.T) {
	r := fresh(t)
	ctx, stop := context.WithCancel(t.Context())
	names := r.Watch(ctx, "a.")
	r.put(t, record.Record{Name: "b.1"})
	r.put(t, record.Record{Name: "a.1"})
	if got := <-names; got != "a.1" {
		t.Errorf("created: %s", got)
	}
	if err := r.Delete(t.Context(), record.Record{Name: "a.1"}); err != nil {
		t.Fatal(err)
	}
	if got := <-names; got != "a.1" {
		t.Errorf("removed: %s", got)
	}
	stop()
	for range names {
	}
}

func TestLabEngineIsKilled(t *testing.T) {
	o := dockertest.Own(t)
	want := map[string]bool{}
	r := open(t, "p", o.Address)
	for life := range 3 {
		for i := range 20 {
			name := fmt.Sprintf("x.%d.%d", life, i)
			r.put(t, record.Record{Name: name, Data: noise(1 << i)})
			want[name] = true
		}
		o.Kill()
		// An engine that dies in the middle of making a volume leaves its folder.
		torn := fmt.Sprintf("torn.%d", life)
		if err := os.MkdirAll(filepath.Join(o.Data, "volumes", "p_runner."+torn, "_data"), 0o755); err != nil {
			t.Fatal(err)
		}
		o.Restart()
		r = open(t, "p", o.Address)
		got := r.all(t, "x.")
		for _, rec := range got {
			if !want[rec.Name] {
				t.Errorf("%s is there", rec.Name)
			}
		}
		if len(got) != len(want) || len(r.all(t, "torn")) != life {
			t.Errorf("%d records of %d, and of those that were never made %d", len(got), len(want), len(r.all(t, "torn")))
		}
		if life == 1 { // somebody looks at it, and so the engine takes it for one that is there
			if _, err := r.Engine.VolumeInspect(t.Context(), "p_runner."+torn, client.VolumeInspectOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if !r.put(t, record.Record{Name: torn, Data: []byte("made")}) || string(r.all(t, torn)[0].Data) != "made" {
			t.Error("a record that was never made is in the way")
		}
	}
	// An engine of this API prunes every volume that no container has.
	if _, err := r.Engine.VolumePrune(t.Context(), client.VolumePruneOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Logf("API %s: behind a prune %d of %d records", r.Engine.ClientVersion(), len(r.all(t, "")), len(want)+3)
}
