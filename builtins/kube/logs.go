package kube

import (
	"context"
	"fmt"
	"strings"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/reach"
	"github.com/erlmcp/runner/runtime/op"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Logs is kube.logs.
type Logs struct {
	_         op.Doc          `doc:"Reads what the pods of a workload's newest revision have written last, each line behind the names of its pod and container where there are several."`
	Cluster   cluster.Cluster `json:"cluster" doc:"The target, such as environment.target."`
	Name      string          `json:"name" doc:"The workload or the pod, such as \"web\" or \"statefulset/web\"."`
	Container string          `json:"container,omitempty" doc:"Only that of one container."`
	Lines     int             `json:"lines" doc:"How many lines of each container."`
	Previous  bool            `json:"previous,omitempty" doc:"What was written before the last restart."`
}

// Summary implements op.Op.
func (l Logs) Summary() string { return "read the logs of " + l.Name }

// Check implements op.Checked.
func (l Logs) Check() error {
	if l.Lines < 1 || l.Lines > 10000 {
		return fmt.Errorf("lines: want 1 to 10000, got %d", l.Lines)
	}
	return nil
}

// Do implements op.Op.
func (l Logs) Do(ctx context.Context, d *Kubernetes) (string, error) {
	at, err := d.at(ctx, l.Cluster)
	if err != nil {
		return "", err
	}
	w, err := at.workload(ctx, l.Name)
	if err != nil {
		return "", err
	}
	pods, err := reach.Current(ctx, at.conn, w)
	if err != nil {
		return "", fmt.Errorf("cannot find the pods of %s: %w", l.Name, err)
	}
	type one struct{ pod, container string }
	var of []one
	for _, p := range pods {
		for _, c := range containers(p) {
			if l.Container == "" || c == l.Container {
				of = append(of, one{p.GetName(), c})
			}
		}
	}
	var out strings.Builder
	for _, o := range of {
		text, err := at.conn.Logs(ctx, at.set.Namespace, o.pod, o.container, l.Lines, l.Previous)
		if err != nil {
			return "", fmt.Errorf("cannot read the log of %s: %w", o.pod, err)
		}
		for line := range strings.Lines(strings.ToValidUTF8(string(text), "?")) {
			if len(of) > 1 {
				fmt.Fprintf(&out, "%s/%s  ", o.pod, o.container)
			}
			out.WriteString(strings.TrimRight(line, "\n") + "\n")
		}
	}
	return out.String(), nil
}

// containers are those of a pod that have started at least once.
func containers(pod *api.Object) (out []string) {
	for _, field := range []string{"initContainerStatuses", "containerStatuses"} {
		list, _, _ := unstructured.NestedSlice(pod.Object, "status", field)
		for _, item := range list {
			c, _ := item.(map[string]any)
			state, _ := c["state"].(map[string]any)
			restarts, _ := c["restartCount"].(int64)
			if name, _ := c["name"].(string); name != "" && (state["waiting"] == nil || restarts > 0) {
				out = append(out, name)
			}
		}
	}
	return out
}
