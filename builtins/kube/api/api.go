// Package api speaks to a Kubernetes API server: one request a call, patiently where that is safe. It knows no manifest,
// decides nothing about what runs, and asks no server for what every server has.
package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// Manager is what runner is called as the owner of fields.
const Manager = "runner"

// Object is one object of a cluster as its JSON.
type Object = unstructured.Unstructured

// Clock is what waits between attempts.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
	Timeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc)
}

// Conn is a connection to one cluster. It is safe for concurrent use.
type Conn struct {
	Config *rest.Config // with what pod streams need
	Clock  Clock

	objects  dynamic.Interface
	rest     *rest.RESTClient
	attempt  time.Duration
	answered *atomic.Bool // the server, once
	kinds    *kinds
}

// kinds are those that the server was asked for.
type kinds struct {
	mu    sync.Mutex
	known map[schema.GroupVersionKind]Resource
}

// New is a connection by a configuration. No request is made. The server's priority and fairness says how fast requests
// may come; the client adds no limit of its own.
func New(config *rest.Config, clock Clock) (*Conn, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = -1, -1
	bare := dynamic.ConfigFor(config)
	bare.GroupVersion = &schema.GroupVersion{}
	bare.APIPath = "/api"
	way, err := rest.HTTPClientFor(bare)
	if err != nil {
		return nil, err
	}
	if config.ExecProvider != nil {
		way.Transport = impatient{way.Transport, clock}
	}
	objects, err := dynamic.NewForConfigAndClient(config, way)
	if err != nil {
		return nil, err
	}
	client, err := rest.RESTClientForConfigAndClient(bare, way)
	if err != nil {
		return nil, err
	}
	return &Conn{
		Config: config, Clock: clock, objects: objects, rest: client, attempt: attempt,
		answered: &atomic.Bool{}, kinds: &kinds{known: map[schema.GroupVersionKind]Resource{}},
	}, nil
}

// Within is the connection, with another time that one attempt at a request may take.
func (c *Conn) Within(attempt time.Duration) *Conn {
	other := *c
	other.attempt = attempt
	return &other
}

// RefOf names an object.
func RefOf(o *Object) Ref {
	k := o.GroupVersionKind()
	return Ref{Group: k.Group, Version: k.Version, Kind: k.Kind, Namespace: o.GetNamespace(), Name: o.GetName()}
}

// at is where a ref's object is served.
func (c *Conn) at(ctx context.Context, r Ref) (dynamic.ResourceInterface, error) {
	return c.of(ctx, r.GVK(), r.Namespace)
}

func (c *Conn) of(ctx context.Context, k schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	res, err := c.Resource(ctx, k)
	if err != nil {
		return nil, err
	}
	if res.Namespaced {
		return c.objects.Resource(res.GroupVersionResource).Namespace(namespace), nil
	}
	return c.objects.Resource(res.GroupVersionResource), nil
}

// Get reads an object; nil where it is not there.
func (c *Conn) Get(ctx context.Context, r Ref) (o *Object, err error) {
	at, err := c.at(ctx, r)
	if err != nil {
		return nil, err
	}
	err = c.again(ctx, func(ctx context.Context) error {
		o, err = at.Get(ctx, r.Name, metav1.GetOptions{})
		return err
	})
	if IsNotFound(err) {
		return nil, nil
	}
	return o, err
}

// List reads the objects of a kind, of one namespace or "" for all, that a label selector names, and the version of the
// list, from which a watch goes on.
func (c *Conn) List(ctx context.Context, k schema.GroupVersionKind, namespace, selector string) (out []Object, version string, err error) {
	at, err := c.of(ctx, k, namespace)
	if err != nil {
		return nil, "", err
	}
	err = c.again(ctx, func(ctx context.Context) error {
		list, err := at.List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err == nil {
			out, version = list.Items, list.GetResourceVersion()
		}
		return err
	})
	return out, version, err
}

// Applying says how Apply does it.
type Applying struct {
	Manager string // Manager when ""
	Force   bool   // take fields from other managers
	DryRun  bool   // the server answers as if it were done
}

// Apply is one server-side apply: the fields that are given are the manager's from then on, those that it had before and
// are not given go. It can be repeated, so it is patient. The answer is the object as it is then.
func (c *Conn) Apply(ctx context.Context, want *Object, how Applying) (o *Object, err error) {
	at, err := c.at(ctx, RefOf(want))
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(want)
	if err != nil {
		return nil, err
	}
	options := metav1.PatchOptions{FieldManager: how.Manager, Force: &how.Force, FieldValidation: metav1.FieldValidationStrict}
	if options.FieldManager == "" {
		options.FieldManager = Manager
	}
	if how.DryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	for try := 1; ; try++ {
		err = c.again(ctx, func(ctx context.Context) error {
			o, err = at.Patch(ctx, want.GetName(), types.ApplyYAMLPatchType, data, options)
			return err
		})
		if try == overtaken || !IsConflict(err) || isOwned(err) || c.Clock.Sleep(ctx, firstWait) != nil {
			return o, err
		}
	}
}

// overtaken is how often an apply is tried that others come before: each time the server merges it with what is there.
const overtaken = 5

// isOwned reports a conflict about who owns fields, which does not pass.
func isOwned(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict)
}

// Patch changes an object by a patch of a kind, as a manager; subresources such as "status" or "scale" may follow.
func (c *Conn) Patch(ctx context.Context, r Ref, kind types.PatchType, data []byte, sub ...string) (o *Object, err error) {
	at, err := c.at(ctx, r)
	if err != nil {
		return nil, err
	}
	err = c.again(ctx, func(ctx context.Context) error {
		o, err = at.Patch(ctx, r.Name, kind, data, metav1.PatchOptions{FieldManager: Manager}, sub...)
		return err
	})
	return o, err
}

// Create makes an object. An answer that is lost leaves its fate unknown: IsExists of a second attempt says nothing.
func (c *Conn) Create(ctx context.Context, want *Object) (o *Object, err error) {
	at, err := c.at(ctx, RefOf(want))
	if err != nil {
		return nil, err
	}
	err = c.again(ctx, func(ctx context.Context) error {
		o, err = at.Create(ctx, want, metav1.CreateOptions{FieldManager: Manager})
		return err
	})
	return o, err
}

// Update replaces an object that is still of the version that it names; IsConflict where it is not.
func (c *Conn) Update(ctx context.Context, want *Object) (o *Object, err error) {
	at, err := c.at(ctx, RefOf(want))
	if err != nil {
		return nil, err
	}
	err = c.again(ctx, func(ctx context.Context) error {
		o, err = at.Update(ctx, want, metav1.UpdateOptions{FieldManager: Manager})
		return err
	})
	return o, err
}

// Delete removes an object, and in the background what it owns. uid, where it is not "", must be the object's. One that
// is not there is no error.
func (c *Conn) Delete(ctx context.Context, r Ref, uid types.UID) error {
	at, err := c.at(ctx, r)
	if err != nil {
		return err
	}
	how := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{PropagationPolicy: &how}
	if uid != "" {
		options.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	err = c.again(ctx, func(ctx context.Context) error { return at.Delete(ctx, r.Name, options) })
	if IsNotFound(err) {
		return nil
	}
	return err
}

// Logs reads what a container has written last. The previous one is that before the last restart.
func (c *Conn) Logs(ctx context.Context, namespace, pod, container string, lines int, previous bool) ([]byte, error) {
	var out []byte
	err := c.again(ctx, func(ctx context.Context) (err error) {
		r := c.rest.Get().AbsPath("/api/v1/namespaces", namespace, "pods", pod, "log").Param("container", container)
		if lines > 0 {
			r = r.Param("tailLines", fmt.Sprint(lines))
		}
		if previous {
			r = r.Param("previous", "true")
		}
		out, err = raw(r.Do(ctx))
		return err
	})
	return out, err
}

// Follow streams what a container writes until it ends, each line behind its time. From since on, where that is not zero;
// servers leave out fractions of a second.
func (c *Conn) Follow(ctx context.Context, namespace, pod, container string, since time.Time) (io.ReadCloser, error) {
	r := c.rest.Get().AbsPath("/api/v1/namespaces", namespace, "pods", pod, "log").MaxRetries(0).
		Param("container", container).Param("follow", "true").Param("timestamps", "true")
	if !since.IsZero() {
		r = r.Param("sinceTime", since.UTC().Format(time.RFC3339))
	}
	return r.Stream(ctx)
}

// IsNotFound reports that the object, or its kind, is not there.
func IsNotFound(err error) bool { return apierrors.IsNotFound(err) }

// IsExists reports that an object of this name is there already.
func IsExists(err error) bool { return apierrors.IsAlreadyExists(err) }

// IsConflict reports that the object has changed since, or that other managers own fields of it.
func IsConflict(err error) bool { return apierrors.IsConflict(err) }

// IsUnauthorized reports that the server does not know the credentials.
func IsUnauthorized(err error) bool { return apierrors.IsUnauthorized(err) }

// IsForbidden reports that the credentials do not have the right.
func IsForbidden(err error) bool { return apierrors.IsForbidden(err) }
