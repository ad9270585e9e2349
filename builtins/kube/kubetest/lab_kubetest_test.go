//go:build labs

package kubetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/host"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func deployment(namespace, image string) *api.Object {
	return &api.Object{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web", "namespace": namespace},
		"spec": map[string]any{
			"replicas": int64(2), "selector": map[string]any{"matchLabels": map[string]any{"app": "web"}},
			"template": map[string]any{
				"metadata": map[string]any{"labels": map[string]any{"app": "web"}},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "web", "image": image}}},
			},
		},
	}}
}

// until looks again and again for a while.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(starting); !ok(); time.Sleep(look) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", starting, what)
		}
	}
}

func TestLabPodsRunAndFail(t *testing.T) {
	begun := time.Now()
	l := Start(t)
	t.Logf("ready in %s", time.Since(begun).Round(time.Millisecond))
	c, ns := l.Conn(t), l.Namespace(t)
	for image, want := range map[string]func(*api.Object) bool{
		"registry.invalid/app:v1": func(o *api.Object) bool {
			n, _, _ := unstructured.NestedInt64(o.Object, "status", "readyReplicas")
			return n == 2
		},
		"registry.invalid/app:v2-fault-crashloop": func(*api.Object) bool {
			return strings.Contains(l.Kubectl(t, "get", "pods", "-n", ns), "CrashLoopBackOff")
		},
	} {
		d := deployment(ns, image)
		if _, err := c.Apply(t.Context(), d, api.Applying{}); err != nil {
			t.Fatal(err)
		}
		until(t, image, func() bool {
			o, err := c.Get(t.Context(), api.RefOf(d))
			return err == nil && o != nil && want(o)
		})
	}
}

func TestLabAPIServerComesBack(t *testing.T) {
	l := Start(t)
	c, ns := l.Conn(t), l.Namespace(t)
	l.KillAPIServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Get(ctx, api.RefOf(namespace(ns))); err == nil {
		t.Error("a dead server answers")
	}
	l.RestartAPIServer(t)
	if o, err := c.Get(t.Context(), api.RefOf(namespace(ns))); err != nil || o == nil {
		t.Errorf("%v, %v", o, err)
	}
}

func TestLabProxy(t *testing.T) {
	l := Start(t)
	ns := l.Namespace(t)
	p := l.Proxy(t)
	c := p.Conn(t)
	ref := api.Ref{Version: "v1", Kind: "ConfigMap", Namespace: ns, Name: "a"}
	write := func(value string) error {
		_, err := c.Apply(t.Context(), &api.Object{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": "a", "namespace": ns}, "data": map[string]any{"v": value}}}, api.Applying{})
		return err
	}
	value := func() string {
		o, err := l.Conn(t).Get(t.Context(), ref)
		if err != nil || o == nil {
			return fmt.Sprint(err)
		}
		v, _, _ := unstructured.NestedString(o.Object, "data", "v")
		return v
	}
	for i, f := range []Fault{{Drop: true}, {Cut: true}, {Status: 429, After: 1}, {Status: 500}, {Status: 503, Cut: true}, {Delay: 50 * time.Millisecond}} {
		p.Heal()
		p.Reset()
		p.Times(1, "apply configmaps", f)
		begun := time.Now()
		if err := write(fmt.Sprint(i)); err != nil || value() != fmt.Sprint(i) {
			t.Errorf("%+v: %v, it is %s", f, err, value())
		}
		want := 2
		if f.Delay > 0 {
			want = 1
		}
		if got := p.Counts()["apply configmaps"]; got != want {
			t.Errorf("%+v: %d requests", f, got)
		}
		if took := time.Since(begun); f.After > 0 && took < time.Second || took < f.Delay {
			t.Errorf("%+v: after %s", f, took)
		}
	}
	p.Heal()
	p.Times(100, "apply configmaps", Fault{Status: 409, Reason: "Conflict"}) // a few are overcome
	if err := write("x"); !api.IsConflict(err) {
		t.Errorf("409: %v", err)
	}
	if _, _, err := c.List(t.Context(), schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, ns, ""); err != nil || p.Counts()["list configmaps"] != 1 {
		t.Errorf("%v, %v", err, p.Counts())
	}
}

// What a lab has started ends with its process, whatever ends that.
func TestLabLeavesNothing(t *testing.T) {
	if dir := os.Getenv("KUBETEST_DIES"); dir != "" {
		l := Start(t)
		os.WriteFile(dir, []byte(l.Dir), 0o600)
		select {}
	}
	dir := killed(t, "TestLabLeavesNothing")
	until(t, "its folder is gone", func() bool { _, err := os.Stat(dir); return errors.Is(err, os.ErrNotExist) })
	if left := running(dir); len(left) > 0 {
		t.Errorf("these run: %q", left)
	}
}

// killed starts this program anew for a test that tells the folder of its lab, and kills it then.
func killed(t *testing.T, test string) (dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	boot, _ := host.BootID()
	procs := host.Linux{Boot: boot}
	told := filepath.Join(t.TempDir(), "dir")
	started := make(chan host.Proc, 1)
	over := make(chan error, 1)
	go func() {
		_, err := procs.Run(context.Background(), host.Cmd{Argv: []string{self, "-test.run", test + "$"}, Env: append(os.Environ(), "KUBETEST_DIES="+told), Leash: true},
			func(p host.Proc) error { started <- p; return nil })
		over <- err
	}()
	until(t, "a lab", func() bool {
		b, _ := os.ReadFile(told)
		dir = string(b)
		return dir != ""
	})
	if err := procs.Stop(t.Context(), <-started, 9, time.Second); err != nil {
		t.Fatal(err)
	}
	<-over
	return dir
}

// running are the processes that have to do with a folder.
func running(dir string) (out []string) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		if b, _ := os.ReadFile(name); strings.Contains(string(b), dir) {
			out = append(out, string(b))
		}
	}
	return out
}
