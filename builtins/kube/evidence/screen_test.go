package evidence

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/verdict"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// A screenCase is what was found, in YAML; its golden file is the screen.
type screenCase struct {
	Ref         api.Ref
	Input       struct{ Object, Set, Pod map[string]any }
	Now, Before string
	Unread      string
	Events      []map[string]any
}

// TestScreens shows failures as the person on call sees them. The verdicts are those that Judge gives.
func TestScreens(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 11 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var c screenCase
			if err := yaml.UnmarshalStrict(data, &c); err != nil {
				t.Fatal(err)
			}
			got := show(c.found(t))
			golden := strings.TrimSuffix(file, "yaml") + "txt"
			if os.Getenv("RUNNER_UPDATE") != "" {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("%v\ngot:\n%s\nwant:\n%s", err, got, want)
			}
			rows := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
			if len(rows) > screenLines {
				t.Errorf("%d lines", len(rows))
			}
			for _, row := range rows {
				if len([]rune(row)) > 100 {
					t.Errorf("%d columns: %s", len([]rune(row)), row)
				}
			}
		})
	}
}

// show is a screen as the output has it: titles, and what is below them set in.
func show(parts []Part) string {
	var out strings.Builder
	for _, p := range parts {
		out.WriteString(p.Title + "\n")
		for line := range strings.Lines(p.Text) {
			out.WriteString("  " + strings.TrimRight(line, "\n") + "\n")
		}
	}
	return out.String()
}

func (c screenCase) found(t *testing.T) []Part {
	object := func(m map[string]any) *api.Object {
		data, err := yaml.Marshal(m)
		if err == nil {
			data, err = yaml.YAMLToJSON(data)
		}
		o := &api.Object{}
		if err == nil {
			err = o.UnmarshalJSON(data)
		}
		if err != nil {
			t.Fatal(err, m)
		}
		if o.GetUID() == "" {
			o.SetUID(types.UID(o.GetName()))
		}
		return o
	}
	in := verdict.Input{Object: object(c.Input.Object)}
	if c.Input.Set != nil {
		in.ReplicaSets = []*api.Object{object(c.Input.Set)}
	}
	if c.Input.Pod != nil {
		in.Pods = []*api.Object{object(c.Input.Pod)}
	}
	f := Found{Ref: c.Ref, Now: split(c.Now), Before: split(c.Before), Unread: c.Unread}
	for _, m := range c.Events {
		o := object(m)
		in.Events = append(in.Events, o)
		f.Events = append(f.Events, typed[corev1.Event](o))
	}
	f.Verdict, _ = verdict.Judge(in)
	if f.Verdict.State != verdict.Doomed && f.Verdict.State != verdict.Suspect {
		t.Errorf("not a failure: %+v", f.Verdict)
	}
	if c.Input.Pod != nil && f.Verdict.Pod != "" {
		f.Pod = ptr(typed[corev1.Pod](in.Pods[0]))
	}
	return f.Screen()
}

func ptr[T any](v T) *T { return &v }

func typed[T any](o *api.Object) (out T) {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &out); err != nil {
		panic(err)
	}
	return out
}
