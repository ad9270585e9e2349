//go:build labs

package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/runtime/op"
)

// world is a set in a namespace of its own.
type world struct {
	t    *testing.T
	lab  *kubetest.Lab
	conn *api.Conn
	set  Set
	n    int
}

func newWorld(t *testing.T) *world {
	t.Parallel()
	return newWorldIn(t)
}

func newWorldIn(t *testing.T) *world {
	lab := kubetest.Start(t)
	ns := lab.Namespace(t)
	return &world{t: t, lab: lab, conn: lab.Conn(t), set: Set{Name: "shop", Namespace: ns, State: ns}}
}

// objects reads documents of YAML; NS stands for the namespace.
func (w *world) objects(text string) (out []Want) {
	w.t.Helper()
	for _, doc := range strings.Split(text, "\n---\n") {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(strings.ReplaceAll(doc, "NS", w.set.Namespace)), &o); err != nil {
			w.t.Fatal(err)
		}
		data, _ := json.Marshal(o)
		var u unstructured.Unstructured
		if err := u.UnmarshalJSON(data); err != nil {
			w.t.Fatal(err)
		}
		if u.GetNamespace() == "" && u.GetKind() != "Namespace" && u.GetKind() != "CustomResourceDefinition" {
			u.SetNamespace(w.set.Namespace)
		}
		want := Want{Object: u, Stage: 1}
		if u.GetKind() == "Namespace" || u.GetKind() == "CustomResourceDefinition" {
			want.Stage = 0
		}
		out = append(out, want)
	}
	return out
}

func (w *world) observe(wants []Want) *Seen {
	w.t.Helper()
	seen, err := Observe(w.t.Context(), w.conn, w.set, wants)
	if err != nil {
		w.t.Fatal(err)
	}
	return seen
}

// apply applies, and gives the inverse and the plan.
func (w *world) apply(ctx context.Context, wants []Want, o Options) (Snapshot, op.Key, *Plan, error) {
	w.t.Helper()
	w.n++
	o.Key = op.Key(fmt.Sprintf("run%d/1", w.n))
	seen := w.observe(wants)
	snap := Snap(wants, seen, o, nil)
	data, err := json.Marshal(snap) // it lies in an undo log
	if err != nil || json.Unmarshal(data, &snap) != nil {
		w.t.Fatal(err)
	}
	p := NewPlan(w.set, wants, seen)
	err = p.Apply(ctx, w.conn, w.set, o, nobody)
	return snap, o.Key, p, err
}

// nobody waits for what was live.
func nobody(context.Context, []Applied) error { return nil }

func (w *world) mustApply(wants []Want, o Options) (Snapshot, op.Key, *Plan) {
	w.t.Helper()
	snap, key, p, err := w.apply(w.t.Context(), wants, o)
	if err != nil {
		w.t.Fatal(err)
	}
	return snap, key, p
}

// state is what the namespace has of the kinds that tests change, without what changes by itself.
func (w *world) state() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for _, kind := range []string{"Deployment.v1.apps", "Service.v1.", "ConfigMap.v1.", "Secret.v1.", "HorizontalPodAutoscaler.v2.autoscaling", "StatefulSet.v1.apps"} {
		gvk, _ := parseKind(kind)
		all, _, err := w.conn.List(w.t.Context(), gvk, w.set.Namespace, "")
		if err != nil {
			w.t.Fatal(err)
		}
		for _, o := range all {
			o.SetGroupVersionKind(gvk)
			flat := map[string]string{}
			flatten("", o.Object, flat)
			maps.DeleteFunc(flat, func(path, _ string) bool {
				return slices.ContainsFunc(noise, func(n string) bool {
					return n != "metadata.annotations."+RunKey && (path == n || strings.HasPrefix(path, n+".") || strings.HasPrefix(path, n+"["))
				})
			})
			var lines []string
			for path, value := range flat {
				lines = append(lines, path+"="+value)
			}
			slices.Sort(lines)
			text := strings.Join(lines, "\n")
			for _, m := range o.GetManagedFields() {
				if m.Subresource == "" && m.Manager != "kube-controller-manager" {
					text += fmt.Sprintf("\n%s %s %s", m.Manager, m.Operation, m.FieldsV1.GetRawString())
				}
			}
			out[o.GetKind()+"/"+o.GetName()] = text
		}
	}
	delete(out, "ConfigMap/kube-root-ca.crt")
	delete(out, "Secret/"+w.set.Parent())
	return out
}

func (w *world) same(was map[string]string, what string) {
	w.t.Helper()
	now := w.state()
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if now[name] != was[name] {
			w.t.Errorf("%s: %s is otherwise: %s", what, name, differing(was[name], now[name]))
		}
	}
	for name := range now {
		if _, ok := was[name]; !ok {
			w.t.Errorf("%s: %s is there", what, name)
		}
	}
}

// differing are the lines that only one of two texts has.
func differing(was, now string) string {
	var out []string
	for _, side := range []struct{ sign, a, b string }{{"-", was, now}, {"+", now, was}} {
		for line := range strings.Lines(side.a) {
			if !strings.Contains("\n"+side.b+"\n", "\n"+strings.TrimSpace(line)+"\n") {
				out = append(out, side.sign+line)
			}
		}
	}
	return "\n" + strings.Join(out, "\n")
}

func (w *world) replicas(name string) int64 {
	w.t.Helper()
	o, err := w.conn.Get(w.t.Context(), api.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: w.set.Namespace, Name: name})
	if err != nil || o == nil {
		w.t.Fatal(err, o)
	}
	n, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
	return n
}

func (w *world) kubectl(args ...string) string {
	w.t.Helper()
	return w.lab.Kubectl(w.t, append([]string{"-n", w.set.Namespace}, args...)...)
}

func (w *world) file(text string) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func parseKind(s string) (schema.GroupVersionKind, error) {
	gvk, _ := schema.ParseKindArg(s)
	if gvk == nil {
		return schema.GroupVersionKind{Version: "v1", Kind: strings.Split(s, ".")[0]}, nil
	}
	return *gvk, nil
}
