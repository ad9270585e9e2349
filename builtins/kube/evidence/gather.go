// Package evidence is what explains why an object of a cluster is not ready, for one screen: from the object down to the
// container, how that ended, what it wrote last, what the cluster said of it, and a hint. It only reads.
package evidence

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/verdict"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// logLines is how many lines of a log are read.
const logLines = 20

// Found is what was found about an object that is not ready.
type Found struct {
	Ref      api.Ref
	Verdict  verdict.Verdict
	Pod      *corev1.Pod // the one that the verdict names, nil where it names none or that is gone
	Now      []string    // what its container has written since it was started last
	Before   []string    // and what it wrote before that
	Unread   string      // why there is no log
	Events   []corev1.Event
	EventErr string
}

// Gather reads what explains a verdict. What cannot be read is left out, with a word where that matters.
func Gather(ctx context.Context, conn *api.Conn, ref api.Ref, v verdict.Verdict) Found {
	f := About(ctx, conn, ref, v)
	if f.Pod != nil {
		f.logs(ctx, conn)
	}
	return f
}

// About is Gather without what the containers wrote.
func About(ctx context.Context, conn *api.Conn, ref api.Ref, v verdict.Verdict) Found {
	f := Found{Ref: ref, Verdict: v}
	about := []string{ref.Kind + "/" + ref.Name}
	if v.Pod != "" {
		o, err := conn.Get(ctx, api.Ref{Version: "v1", Kind: "Pod", Namespace: ref.Namespace, Name: v.Pod})
		if err == nil && o != nil {
			f.Pod = &corev1.Pod{}
			_ = runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, f.Pod)
		}
		about = append(about, "Pod/"+v.Pod)
	}
	about = append(about, behind(f.Pod)...)
	list, _, err := conn.List(ctx, schema.GroupVersionKind{Version: "v1", Kind: "Event"}, ref.Namespace, "")
	if err != nil {
		f.EventErr = err.Error()
	}
	for i := range list {
		var e corev1.Event
		_ = runtime.DefaultUnstructuredConverter.FromUnstructured(list[i].Object, &e)
		if slices.Contains(about, e.InvolvedObject.Kind+"/"+e.InvolvedObject.Name) {
			f.Events = append(f.Events, e)
		}
	}
	return f
}

// behind is what else events may tell of, where a pod is not ready: its owners, and the claims that it waits for.
func behind(pod *corev1.Pod) (out []string) {
	if pod == nil {
		return nil
	}
	for _, r := range pod.OwnerReferences {
		out = append(out, r.Kind+"/"+r.Name)
	}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			out = append(out, "PersistentVolumeClaim/"+v.PersistentVolumeClaim.ClaimName)
		}
	}
	return out
}

// container is the one that the verdict names, else the first that is not well.
func (f Found) container() (s corev1.ContainerStatus, there bool) {
	if f.Pod == nil {
		return s, false
	}
	all := slices.Concat(f.Pod.Status.InitContainerStatuses, f.Pod.Status.ContainerStatuses)
	i := slices.IndexFunc(all, func(c corev1.ContainerStatus) bool { return c.Name == f.Verdict.Container })
	if i < 0 && f.Verdict.Container == "" {
		i = slices.IndexFunc(all, func(c corev1.ContainerStatus) bool { return !c.Ready })
	}
	if i < 0 {
		return s, false
	}
	return all[i], true
}

// logs reads what a container that has run wrote. One that waits to be started again has one log; one that runs again has
// that of before as well.
func (f *Found) logs(ctx context.Context, conn *api.Conn) {
	c, there := f.container()
	if !there || c.RestartCount == 0 && c.State.Running == nil && c.State.Terminated == nil {
		return // nothing of it has ever run
	}
	read := func(previous bool) []string {
		text, err := conn.Logs(ctx, f.Pod.Namespace, f.Pod.Name, c.Name, logLines, previous)
		if err != nil {
			f.Unread = err.Error()
			return nil
		}
		return split(string(text))
	}
	f.Now = read(false)
	if c.RestartCount > 0 && (c.State.Running != nil || len(f.Now) == 0) {
		f.Before = read(true)
	}
	if len(f.Now)+len(f.Before) > 0 {
		f.Unread = ""
	}
}

func split(text string) []string {
	text = strings.TrimRight(strings.ToValidUTF8(text, "?"), "\n\r\t ")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// path names what an object owns down to the container: "deployment/web > replicaset/web-7c4 > pod/web-7c4-x".
func (f Found) path() string {
	path := []string{f.Ref.String()}
	if f.Pod != nil {
		for _, r := range f.Pod.OwnerReferences {
			if r.Controller != nil && *r.Controller && !(r.Kind == f.Ref.Kind && r.Name == f.Ref.Name) {
				path = append(path, strings.ToLower(r.Kind)+"/"+r.Name)
			}
		}
	}
	if f.Verdict.Pod != "" && f.Ref.Kind != "Pod" {
		path = append(path, "pod/"+f.Verdict.Pod)
	}
	text := strings.Join(path, " > ")
	if f.Pod != nil && f.Pod.Spec.NodeName != "" {
		text += fmt.Sprintf(" on %s", f.Pod.Spec.NodeName)
	}
	return text
}
