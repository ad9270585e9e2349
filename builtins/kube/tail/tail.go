// Package tail streams what the containers of some pods write, from their beginning to their end, each line once: a stream
// that breaks is taken up where it was. It judges nothing, and changes nothing.
package tail

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	pause   = 200 * time.Millisecond // before a stream is taken up again
	longest = 2 * time.Second        // what that grows to, while the container runs
	refused = 5                      // how often one of a container that has ended is tried
)

var pods = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}

// Line is one line of a container.
type Line struct {
	Pod, Container string
	Text           string // without its end
}

// Tail streams the logs of pods as a server selects them.
type Tail struct {
	Conn      *api.Conn
	Namespace string
	Labels    string
	Show      func(Line) // one at a time

	mu      sync.Mutex
	showing sync.Mutex
	streams map[string]bool // by pod and container
	running sync.WaitGroup
	unread  error
}

// Run streams until ctx ends or, once over is closed, until all that has run is read to its end. Its error says which log
// is not whole.
func (t *Tail) Run(ctx context.Context, over <-chan struct{}) error {
	t.streams = map[string]bool{}
	watching, stop := context.WithCancel(ctx)
	var watched sync.WaitGroup
	watched.Go(func() { t.watch(watching, ctx) })
	select {
	case <-over:
	case <-ctx.Done():
	}
	stop()
	watched.Wait()
	if list, _, err := t.Conn.List(ctx, pods, t.Namespace, t.Labels); err == nil { // what the watch has not told of yet
		t.take(ctx, list)
	} else {
		t.missed(err)
	}
	t.running.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return t.unread
}

// watch takes up the containers of pods as they start, until ctx ends; streams are as long as theirs.
func (t *Tail) watch(ctx, streams context.Context) {
	selection := api.Selection{Kind: pods, Namespace: t.Namespace, Labels: t.Labels}
	for ctx.Err() == nil {
		list, version, err := t.Conn.Select(ctx, selection)
		if err == nil {
			t.take(streams, list)
			err = t.follow(ctx, streams, selection, version)
		}
		if err != nil && t.Conn.Clock.Sleep(ctx, pause) != nil {
			return
		}
	}
}

func (t *Tail) follow(ctx, streams context.Context, s api.Selection, version string) error {
	w, err := t.Conn.Watch(ctx, s, version)
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		e, err := w.Next()
		if err != nil {
			return err
		}
		if e.Object.GetKind() == "Pod" {
			t.take(streams, []api.Object{*e.Object})
		}
	}
}

// take begins to stream what has started and is not streamed yet.
func (t *Tail) take(ctx context.Context, list []api.Object) {
	for _, o := range list {
		pod := podOf(&o)
		for _, c := range statuses(pod) {
			if c.State.Running == nil && c.State.Terminated == nil && c.RestartCount == 0 {
				continue
			}
			name := pod.Name + "/" + c.Name
			t.mu.Lock()
			known := t.streams[name]
			t.streams[name] = true
			t.mu.Unlock()
			if !known {
				t.running.Go(func() { t.missed(t.stream(ctx, pod.Name, c.Name)) })
			}
		}
	}
}

func (t *Tail) missed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unread == nil {
		t.unread = err
	}
}

// stream shows what one container writes. It is at its end when a stream that was begun behind that end ended by itself.
func (t *Tail) stream(ctx context.Context, pod, container string) error {
	var seen seen
	ended, refusals, wait := false, 0, pause
	for {
		err := t.read(ctx, pod, container, &seen, ended)
		if ctx.Err() != nil || err == nil && ended {
			return nil
		}
		o, unknown := t.Conn.Get(ctx, api.Ref{Version: "v1", Kind: "Pod", Namespace: t.Namespace, Name: pod})
		switch {
		case api.IsRefusal(unknown):
			return fmt.Errorf("the log of %s/%s may not be whole: %w", pod, container, unknown)
		case unknown == nil && o == nil && err == nil:
			return nil
		case unknown == nil && o == nil:
			return fmt.Errorf("the log of %s/%s may not be whole: the pod is gone", pod, container)
		case unknown == nil:
			ended = over(podOf(o), container)
		}
		if err == nil && ended {
			continue
		}
		if err != nil && ended {
			refusals++
		}
		if api.IsForbidden(err) || refusals == refused {
			return fmt.Errorf("the log of %s/%s cannot be read: %w", pod, container, err)
		}
		if wait = min(2*wait, longest); err == nil || ended {
			wait = pause
		}
		if t.Conn.Clock.Sleep(ctx, wait) != nil {
			return nil
		}
	}
}

// read shows what one stream has, but for what was shown before. A line without an end is one where nothing follows.
func (t *Tail) read(ctx context.Context, pod, container string, seen *seen, last bool) error {
	body, err := t.Conn.Follow(ctx, t.Namespace, pod, container, seen.since())
	if err != nil {
		return err
	}
	defer body.Close()
	seen.again()
	r := bufio.NewReader(body)
	for {
		line, err := r.ReadString('\n')
		if (err == nil || last && errors.Is(err, io.EOF) && line != "") && seen.fresh(strings.TrimSuffix(line, "\n")) {
			_, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			t.showing.Lock()
			t.Show(Line{Pod: pod, Container: container, Text: strings.ToValidUTF8(strings.TrimSuffix(text, "\r"), "\uFFFD")})
			t.showing.Unlock()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func podOf(o *api.Object) *corev1.Pod {
	p := &corev1.Pod{}
	_ = runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, p) // what a server gives is a pod
	return p
}

func statuses(p *corev1.Pod) []corev1.ContainerStatus {
	return append(append([]corev1.ContainerStatus{}, p.Status.InitContainerStatuses...), p.Status.ContainerStatuses...)
}

// over reports that a container has ended, and is not started again.
func over(p *corev1.Pod, container string) bool {
	for _, c := range statuses(p) {
		if c.Name == container {
			return c.State.Terminated != nil
		}
	}
	return false
}
