package kube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/manifest"
	"github.com/erlmcp/runner/builtins/kube/reconcile"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	labelTarget = "runner.erlmcp.org/target" // the target whose Job it is
	maxJobName  = 63                         // pods have it as a label
	keyChars    = 10
	spare       = 30        // seconds that the cluster gives a Job beyond what runner does
	kept        = 24 * 3600 // seconds for which a Job that has ended is there to look at
	keptAtLeast = 5 * 60    // how long its end can be read, whatever its manifest says
)

// job is the Job as it is made.
func (r RunJob) job(ctx context.Context, d *Kubernetes) (*api.Object, error) {
	job := r.simple()
	if r.Image == "" {
		set, err := manifest.Load(ctx, d.Host, r.Cluster, manifest.Overrides{Images: r.Images, Objects: r.Objects})
		if err != nil {
			return nil, err
		}
		found, names, applied := set.Job(r.Name)
		switch {
		case applied:
			return nil, op.Hint(fmt.Errorf("name: the Job %s is applied with the others, by kube.apply", r.Name),
				"the annotation %s: \"false\" on it leaves it to kube.run_job", manifest.AnnotationApply)
		case found == nil:
			return nil, op.Hint(fmt.Errorf("name: no manifest has a Job %s that is run by its name%s", r.Name, builtin.DidYouMean(r.Name, names)),
				"such a Job has the annotation %s: \"false\"", manifest.AnnotationApply)
		}
		job = found.Object.DeepCopy()
	}
	return r.once(job)
}

// simple is a Job of one container.
func (r RunJob) simple() *api.Object {
	return &api.Object{Object: map[string]any{"apiVersion": "batch/v1", "kind": "Job",
		"metadata": map[string]any{"name": r.Name, "namespace": r.Cluster.Namespace},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
			"restartPolicy": "Never", "containers": []any{map[string]any{"name": r.Name, "image": r.Image}}}}}}}
}

// once is pure: a Job changed into one that this op makes, which ends and goes though nobody is there any more.
func (r RunJob) once(job *api.Object) (*api.Object, error) {
	spec, _, _ := unstructured.NestedMap(job.Object, "spec")
	for _, field := range []string{"completions", "parallelism"} {
		if n, given := spec[field]; given && n != int64(1) {
			return nil, fmt.Errorf("%s: want 1 of a Job that is run by its name, got %v", field, n)
		}
	}
	delete(spec, "suspend")
	if _, given := spec["backoffLimit"]; !given && spec["podFailurePolicy"] == nil {
		spec["backoffLimit"] = int64(0)
	}
	longest := int64(math.Ceil(r.Within.D().Seconds())) + spare
	if n, given := spec["activeDeadlineSeconds"].(int64); !given || n > longest {
		spec["activeDeadlineSeconds"] = longest
	}
	ttl, given := spec["ttlSecondsAfterFinished"].(int64)
	if !given {
		ttl = kept
	}
	spec["ttlSecondsAfterFinished"] = max(ttl, keptAtLeast)
	if r.Command != nil {
		list, _, _ := unstructured.NestedSlice(spec, "template", "spec", "containers")
		if first, ok := list[0].(map[string]any); ok {
			first["command"] = words(r.Command)
			delete(first, "args")
		}
		if err := unstructured.SetNestedSlice(spec, list, "template", "spec", "containers"); err != nil {
			return nil, err
		}
	}
	job.Object["spec"] = spec
	labels, notes := maps.Clone(job.GetLabels()), maps.Clone(job.GetAnnotations())
	if labels == nil {
		labels = map[string]string{}
	}
	if notes == nil {
		notes = map[string]string{}
	}
	labels[manifest.LabelName], labels[labelTarget] = r.Name, r.Cluster.Name
	delete(notes, manifest.AnnotationApply)
	notes[reconcile.RunKey] = string(r.Key)
	job.SetLabels(labels)
	job.SetAnnotations(notes)
	job.SetName(uniqueName(r.Name, r.Key))
	return job, nil
}

// uniqueName is the same in every attempt at an op, and in no other op.
func uniqueName(name string, key op.Key) string {
	sum := sha256.Sum256([]byte(key))
	return name[:min(len(name), maxJobName-1-keyChars)] + "-" + hex.EncodeToString(sum[:])[:keyChars]
}

func words(list []string) (out []any) {
	for _, w := range list {
		out = append(out, w)
	}
	return out
}

// containersOf are the names of a Job's containers, those that prepare too, and that of the first that does the work.
func containersOf(job *api.Object) (names []string, first string) {
	for _, field := range []string{"containers", "initContainers"} {
		list, _, _ := unstructured.NestedSlice(job.Object, "spec", "template", "spec", field)
		for _, item := range list {
			c, _ := item.(map[string]any)
			name, _ := c["name"].(string)
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		first = names[0]
	}
	return names, first
}

// exitCode is that with which a container of a failed Job has ended, as the last of its pods has it.
func exitCode(ctx context.Context, conn *api.Conn, job *api.Object) (code int, known bool) {
	list, _, err := conn.List(ctx, podKind, job.GetNamespace(), "batch.kubernetes.io/controller-uid="+string(job.GetUID()))
	if err != nil {
		return 0, false
	}
	slices.SortFunc(list, func(a, b api.Object) int { return b.GetCreationTimestamp().Compare(a.GetCreationTimestamp().Time) })
	for i := range list {
		var p corev1.Pod
		_ = runtime.DefaultUnstructuredConverter.FromUnstructured(list[i].Object, &p) // what a server gives is a pod
		for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			if t := c.State.Terminated; t != nil && t.ExitCode != 0 {
				return int(t.ExitCode), true
			}
		}
	}
	return 0, false
}
