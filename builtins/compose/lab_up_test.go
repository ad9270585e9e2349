//go:build labs

package compose

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/moby/moby/client"
)

// TestLabUp: a project of files that is not there comes up, is as asked the second time, and goes again.
func TestLabUp(t *testing.T) {
	w := dockertest.New(t)
	image, err := w.Engine.ImageImport(t.Context(), client.ImageImportSource{Source: strings.NewReader(string(make([]byte, 1024))), SourceName: "-"}, w.Name+":latest", client.ImageImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, image)
	image.Close()
	w.Write("compose.yaml", "services:\n  web:\n    image: "+w.Name+":latest\n    command: [/nothing]\n")
	u := defaultUp()
	u.Project, u.Key = stack.Project{Name: w.Name}, "20260126t120000-test/7"
	d := &Docker{Pool: w.Pool, Host: w.Host}
	t.Cleanup(func() {
		Return{Project: w.Name, Was: Snapshot{shape.Set{Project: w.Name}}, Of: u.Key}.Do(context.Background(), d)
	})
	lines, err := u.Difference(t.Context(), d)
	if err != nil || !strings.Contains(strings.Join(lines, "\n"), "+ web:1: there is none") {
		t.Fatalf("%q, %v", lines, err)
	}
	inv, err := u.Inverse(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := json.Marshal(inv.(Return).Was)
	var back Snapshot
	if err = errors.Join(err, json.Unmarshal(wire, &back)); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Do(t.Context(), d); err == nil || !strings.Contains(err.Error(), "cannot start web:1") {
		t.Errorf("%v", err)
	}
	r := inv.(Return)
	r.Was = back
	for _, already := range []bool{false, true} {
		done, err := r.Do(t.Context(), d)
		if err != nil || done.Already != already {
			t.Fatalf("%+v, %v", done, err)
		}
	}
}

// TestLabDownIsOver: what a run has taken down is gone behind its prune, and Docker Compose brings the project up again.
func TestLabDownIsOver(t *testing.T) {
	l := newLab(t)
	l.say("1")
	l.build()
	l.up("20260126t110000-aaaa", "1.0")
	const run = "20260126t120000-bbbb"
	_, down := Down{Project: l.project, Timeout: defaultHalt, Key: run + "/1"}.Do(t.Context(), l.d)
	done, err := Prune{Project: l.project, Keep: 5, Key: run + "/2"}.Do(t.Context(), l.d)
	if err = errors.Join(down, err); err != nil || len(done.Containers) != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	up := exec.Command(dockertest.Compose(t), "--progress", "plain", "-p", l.Name, "up", "-d")
	up.Dir, up.Env = l.Host.Project, l.Host.Env
	if text, err := up.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}
