package api

import (
	"context"
	"encoding/json"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// Selection is some objects of a kind: of one namespace or "" for all, by labels and fields as a server reads selectors.
type Selection struct {
	Kind           schema.GroupVersionKind
	Namespace      string
	Labels, Fields string
}

// request asks for a selection once: the client of Kubernetes would try again by itself, and take its time for it.
func (c *Conn) request(ctx context.Context, s Selection) (*rest.Request, error) {
	res, err := c.Resource(ctx, s.Kind)
	if err != nil {
		return nil, err
	}
	path := []string{"/api", res.Version}
	if res.Group != "" {
		path = []string{"/apis", res.Group, res.Version}
	}
	if res.Namespaced && s.Namespace != "" {
		path = append(path, "namespaces", s.Namespace)
	}
	r := c.rest.Get().AbsPath(append(path, res.GroupVersionResource.Resource)...).MaxRetries(0)
	if s.Labels != "" {
		r = r.Param("labelSelector", s.Labels)
	}
	if s.Fields != "" {
		r = r.Param("fieldSelector", s.Fields)
	}
	return r, nil
}

// Select lists a selection once, and gives the version of the list. Unlike List it is not patient: who watches decides
// what to do about a server that does not answer.
func (c *Conn) Select(ctx context.Context, s Selection) ([]Object, string, error) {
	var list unstructured.UnstructuredList
	err := c.once(ctx, func(ctx context.Context) error {
		r, err := c.request(ctx, s)
		if err != nil {
			return err
		}
		data, err := raw(r.Do(ctx))
		if err != nil {
			return err
		}
		return list.UnmarshalJSON(data)
	})
	return list.Items, list.GetResourceVersion(), cause(ctx, err)
}

// raw is an answer as it came, or the error with what the server says of it, which Raw alone loses.
func raw(r rest.Result) ([]byte, error) {
	if err := r.Error(); err != nil {
		return nil, err
	}
	return r.Raw()
}

// Event is one word of a watch.
type Event struct {
	Type   watch.EventType
	Object *Object
}

// Watching is a watch that is answered. The package of Kubernetes hides that a connection broke at the start; here each
// end has its error.
type Watching struct {
	body    io.ReadCloser
	decoder *json.Decoder
	end     func()
}

// Watch follows a selection from a version on, until ctx ends, the connection breaks or the server ends it. It waits for
// the answer as long as for any other.
func (c *Conn) Watch(ctx context.Context, s Selection, version string) (*Watching, error) {
	stream, end := context.WithCancelCause(ctx)
	limited, over := c.Clock.Timeout(ctx, c.attempt, ErrNoAnswer)
	late := context.AfterFunc(limited, func() { end(ErrNoAnswer) })
	r, err := c.request(stream, s)
	if err == nil {
		var body io.ReadCloser
		body, err = r.Param("watch", "true").Param("allowWatchBookmarks", "true").Param("resourceVersion", version).Stream(stream)
		if err == nil && late() {
			over()
			return &Watching{body, json.NewDecoder(body), func() { end(nil) }}, nil
		}
		if err == nil { // too late
			body.Close()
			err = ErrNoAnswer
		}
	}
	over()
	err = cause(stream, err)
	end(nil)
	return nil, err
}

// Next waits for the next event. An error that the server tells by an event is an error like any other.
func (w *Watching) Next() (Event, error) {
	var told struct {
		Type   watch.EventType
		Object json.RawMessage
	}
	if err := w.decoder.Decode(&told); err != nil {
		return Event{}, err
	}
	if told.Type == watch.Error {
		var status metav1.Status
		if err := json.Unmarshal(told.Object, &status); err != nil {
			return Event{}, err
		}
		return Event{}, &apierrors.StatusError{ErrStatus: status}
	}
	e := Event{Type: told.Type, Object: &Object{}}
	return e, e.Object.UnmarshalJSON(told.Object)
}

// Close ends the watch.
func (w *Watching) Close() {
	w.end()
	w.body.Close()
}

// Passing reports an error that may be another one, or none, in a moment: it says something of the way to the server, or
// of how the server is, and nothing of what was asked.
func Passing(err error) bool { return passing(err) }
