//go:build labs

package manifest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/scripts"
)

// stricter are objects of testdata that a server takes each for itself: one is there twice, one names a namespace that it
// cannot be in, one asks for a key that another has not.
var stricter = []string{"fields.yaml ConfigMap/settings", "names.yaml Namespace/shop", "containers.yaml Pod/second"}

// An API server refuses the objects that hold mistakes, and takes those that hold none.
func TestLabServerAgrees(t *testing.T) {
	lab := kubetest.Start(t)
	conn, ns := lab.Conn(t), lab.Namespace(t)
	files, err := filepath.Glob("testdata/[onpw]*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	refused, taken := 0, 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		docs, wrong := documents(file, string(data))
		if wrong != nil {
			t.Fatal(wrong)
		}
		lines := strings.Split(string(data), "\n")
		for i, doc := range docs {
			end := len(lines)
			if i+1 < len(docs) {
				end = docs[i+1].Line - 1
			}
			mistaken := !strings.Contains(file, "/warnings/") && strings.Contains(strings.Join(lines[doc.Line-1:end], "\n"), "#! ")
			fields, ok := (&reader{}).value(doc, 0).(map[string]any)
			o := &Object{Object: &api.Object{Object: fields}}
			if !ok || o.GetKind() == "" || o.GetAPIVersion() == "" || o.GetName() == "" || o.GetKind() == "List" {
				continue // nothing that a request could be made of
			}
			l := &loading{c: shop(), kinds: newKinds(), objects: []*Object{o}}
			l.exported()
			if namespaced, _ := l.scope(o.GroupVersionKind()); namespaced {
				o.SetNamespace(ns)
			}
			ctx, stop := context.WithTimeout(t.Context(), 4*time.Second)
			_, err := conn.Apply(ctx, o.Object, api.Applying{Force: true, DryRun: true})
			stop()
			name := filepath.Base(file) + " " + title(o)
			switch {
			case err != nil && !mistaken:
				t.Errorf("%s: the server refuses it, and nothing is said of it: %v", name, err)
			case err == nil && mistaken && !slices.Contains(stricter, name):
				t.Errorf("%s: the server takes it", name)
			case err != nil:
				refused++
			default:
				taken++
			}
		}
	}
	t.Logf("%d refused, %d taken", refused, taken)
}

// An API server takes the standard manifests.
func TestLabStandard(t *testing.T) {
	lab := kubetest.Start(t)
	conn, c, h := lab.Conn(t), shop(), hostAt(t.TempDir())
	h.Standard = scripts.FS
	c.Namespace, c.Manifests = lab.Namespace(t), []string{"k8s"}
	set, err := Load(t.Context(), h, c, Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range set.Objects {
		if _, err := conn.Apply(t.Context(), o.Object, api.Applying{Force: true, DryRun: true}); err != nil {
			t.Errorf("%s: %v", title(&o), err)
		}
	}
}
