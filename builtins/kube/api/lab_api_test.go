//go:build labs

package api_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/runtime/host"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

var configMap = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}

func object(namespace, name, value string) *api.Object {
	return &api.Object{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": name, "namespace": namespace}, "data": map[string]any{"v": value}}}
}

func valueOf(o *api.Object) string {
	if o == nil {
		return "nothing"
	}
	v, _, _ := unstructured.NestedString(o.Object, "data", "v")
	return v
}

// Whatever befalls the first attempt at a request, it does what it says, once.
func TestLabEachRequestSurvives(t *testing.T) {
	lab := kubetest.Start(t)
	ns, straight := lab.Namespace(t), lab.Conn(t)
	for _, f := range []kubetest.Fault{{Drop: true}, {Cut: true}, {Status: 429, After: 1}, {Status: 500}, {Status: 500, Cut: true}, {Status: 503}, {Status: 504, Cut: true}} {
		t.Run(fmt.Sprintf("%+v", f), func(t *testing.T) {
			name := fmt.Sprintf("a-%d-%t-%t", f.Status, f.Cut, f.Drop)
			p := lab.Proxy(t)
			for _, verb := range []string{"apply", "get", "list", "patch", "update", "delete"} {
				p.Times(1, verb+" configmaps", f)
			}
			c := p.Conn(t)
			ref := api.RefOf(object(ns, name, ""))
			if o, err := c.Apply(t.Context(), object(ns, name, "1"), api.Applying{}); err != nil || valueOf(o) != "1" {
				t.Errorf("apply: %s, %v", valueOf(o), err)
			}
			if o, err := c.Get(t.Context(), ref); err != nil || valueOf(o) != "1" {
				t.Errorf("get: %s, %v", valueOf(o), err)
			}
			if all, version, err := c.List(t.Context(), configMap, ns, ""); err != nil || len(all) == 0 || version == "" {
				t.Errorf("list: %d, %v", len(all), err)
			}
			o, err := c.Patch(t.Context(), ref, types.MergePatchType, []byte(`{"data": {"v": "2"}}`))
			if err != nil || valueOf(o) != "2" {
				t.Fatalf("patch: %s, %v", valueOf(o), err)
			}
			unstructured.SetNestedField(o.Object, "3", "data", "v")
			_, err = c.Update(t.Context(), o)
			now, _ := straight.Get(t.Context(), ref)
			if valueOf(now) != "3" || err != nil && !(f.Cut && api.IsConflict(err)) { // the first attempt was done
				t.Errorf("update: %s, %v", valueOf(now), err)
			}
			if err := c.Delete(t.Context(), ref, now.GetUID()); err != nil {
				t.Errorf("delete: %v", err)
			}
			if now, _ := straight.Get(t.Context(), ref); now != nil {
				t.Error("it is still there")
			}
			for what, n := range p.Counts() {
				if n > 2 {
					t.Errorf("%s: %d requests", what, n)
				}
			}
		})
	}
}

// A server that does not answer is given up, and asked again; one that answers late is waited for.
func TestLabSlowAnswers(t *testing.T) {
	lab := kubetest.Start(t)
	ns := lab.Namespace(t)
	p := lab.Proxy(t)
	c := p.Conn(t)
	p.Times(1, "apply configmaps", kubetest.Fault{Delay: time.Second})
	if _, err := c.Apply(t.Context(), object(ns, "slow", "1"), api.Applying{}); err != nil || p.Counts()["apply configmaps"] != 1 {
		t.Errorf("late: %v, %v", err, p.Counts())
	}
	p.Times(1, "get configmaps", kubetest.Fault{Delay: time.Hour})
	begun := time.Now()
	o, err := c.Within(time.Second).Get(t.Context(), api.RefOf(object(ns, "slow", "")))
	if took := time.Since(begun); err != nil || valueOf(o) != "1" || took < time.Second || took > 10*time.Second {
		t.Errorf("%s, %v, after %s", valueOf(o), err, took)
	}
}

// A cluster that was never reached is given up soon; one that was is waited for while its API server is restarted.
func TestLabNeverAndBefore(t *testing.T) {
	lab := kubetest.Start(t)
	ns := lab.Namespace(t)
	ref := api.RefOf(object(ns, "x", ""))
	before := lab.Conn(t)
	if _, err := before.Get(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	lab.KillAPIServer(t)
	begun := time.Now()
	if _, err := lab.Conn(t).Get(t.Context(), ref); err == nil || time.Since(begun) > 10*time.Second {
		t.Errorf("never reached: %v after %s", err, time.Since(begun))
	}
	done := make(chan error, 1)
	go func() {
		_, err := before.Apply(t.Context(), object(ns, "x", "1"), api.Applying{})
		done <- err
	}()
	time.Sleep(time.Second)
	lab.RestartAPIServer(t)
	if err := <-done; err != nil {
		t.Errorf("reached before: %v", err)
	}
	config := lab.Config()
	config.CAData = lab.Proxy(t).Config().CAData
	stranger, err := api.New(config, host.SystemClock{})
	if err != nil {
		t.Fatal(err)
	}
	begun = time.Now()
	if _, err := stranger.Get(t.Context(), ref); err == nil || errors.Is(err, api.ErrNoAnswer) || time.Since(begun) > 2*time.Second {
		t.Errorf("another authority: %v after %s", err, time.Since(begun))
	}
}
