// Package register keeps small records in a cluster: each is a Secret that never changes, in the state namespace of a
// target. Of many who create one record at once, one wins. The row of terms of a lease is one Lease object, as other
// tools know it. The package knows nothing of what the other records mean.
package register

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/op"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// Register is the records of one target on a cluster.
type Register struct {
	Conn      *api.Conn
	Namespace string // the state namespace
	Name      string // the target's, unlike any other's in the namespace

	// Explain puts a refusal into better words, where it is there.
	Explain func(ctx context.Context, err error) error

	mu   sync.Mutex
	last *api.Object // the Lease as it was read last
}

var _ record.Register = (*Register)(nil)

// attempt is how long one attempt at a request may take: a run waits for each, and its lease ages meanwhile.
const attempt = 3 * time.Second

// New is the register of a target.
func New(conn *api.Conn, namespace, name string) *Register {
	return &Register{Conn: conn.Within(attempt), Namespace: namespace, Name: name}
}

var (
	secrets = schema.GroupVersionKind{Version: "v1", Kind: "Secret"}
	leases  = schema.GroupVersionKind{Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"}
)

// tries is how often a record is made anew that vanishes between two requests.
const tries = 5

// Put implements record.Register.
func (r *Register) Put(ctx context.Context, rec record.Record) (won bool, err error) {
	rec.Mark = cmp.Or(rec.Mark, rand.Text())
	if n, term := termNumber(rec.Name); term {
		won, err = r.putTerm(ctx, n, rec)
	} else {
		won, err = r.putSecret(ctx, rec)
	}
	if err != nil {
		return false, fmt.Errorf("cannot write the record %s to the cluster: %w", rec.Name, r.said(ctx, err))
	}
	return won, nil
}

func (r *Register) putSecret(ctx context.Context, rec record.Record) (bool, error) {
	head, parts := r.pack(rec)
	for _, p := range parts {
		if _, err := r.create(ctx, p); err != nil {
			return false, err
		}
	}
	mark, err := r.create(ctx, head)
	if err != nil || mark == rec.Mark {
		return err == nil, err
	}
	for _, p := range parts {
		r.Conn.Delete(ctx, api.RefOf(p), "") // what is left is removed with what it belongs to
	}
	return false, nil
}

// create makes a Secret where none is, and gives the mark of the one that is there then.
func (r *Register) create(ctx context.Context, want *api.Object) (string, error) {
	for range tries {
		got, err := r.Conn.Create(ctx, want)
		if api.IsExists(err) {
			got, err = r.Conn.Get(ctx, api.RefOf(want))
		}
		switch {
		case err != nil:
			return "", err
		case got == nil: // removed in between
			continue
		case got.GetLabels()[labelTarget] != r.Name || got.GetAnnotations()[noteName] != want.GetAnnotations()[noteName]:
			return "", fmt.Errorf("the Secret %s/%s is somebody else's", r.Namespace, want.GetName())
		}
		return got.GetAnnotations()[noteMark], nil
	}
	return "", fmt.Errorf("the Secret %s/%s comes and goes", r.Namespace, want.GetName())
}

// List implements record.Register.
func (r *Register) List(ctx context.Context, prefix string) (out []record.Record, err error) {
	var g errgroup.Group
	var term *record.Record
	if strings.HasPrefix(prefix, termKind) || strings.HasPrefix(termKind, prefix) {
		g.Go(func() (err error) {
			term, err = r.term(ctx)
			return err
		})
	}
	if !strings.HasPrefix(prefix, termKind) {
		g.Go(func() (err error) {
			out, err = r.list(ctx, r.selector(prefix))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("cannot read the records of %s from the cluster: %w", r.Name, r.said(ctx, err))
	}
	if term != nil {
		out = append(out, *term)
	}
	out = slices.DeleteFunc(out, func(rec record.Record) bool { return !strings.HasPrefix(rec.Name, prefix) })
	slices.SortFunc(out, func(a, b record.Record) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// ListOf implements record.Register.
func (r *Register) ListOf(ctx context.Context, of string) ([]record.Record, error) {
	out, err := r.list(ctx, labelTarget+"="+r.Name+","+labelOf+"="+value(of))
	if err != nil {
		return nil, fmt.Errorf("cannot read the records of %s from the cluster: %w", r.Name, r.said(ctx, err))
	}
	return slices.DeleteFunc(out, func(rec record.Record) bool { return rec.Of != of }), nil
}

func (r *Register) list(ctx context.Context, selector string) ([]record.Record, error) {
	all, _, err := r.Conn.List(ctx, secrets, r.Namespace, selector)
	if err != nil {
		return nil, err
	}
	return assemble(all)
}

// Delete implements record.Register. The highest term, of which numbers go on, is the one that is there.
func (r *Register) Delete(ctx context.Context, rec record.Record) error {
	if _, term := termNumber(rec.Name); term {
		return nil
	}
	name := r.object(rec.Name)
	err := r.Conn.Delete(ctx, r.secret(name), "")
	for i := range rec.Parts {
		err = errors.Join(err, r.Conn.Delete(ctx, r.secret(partName(name, rec.Mark, i)), ""))
	}
	if err != nil {
		return fmt.Errorf("cannot remove the record %s from the cluster: %w", rec.Name, r.said(ctx, err))
	}
	return nil
}

// Watch implements record.Register. It tells of what is there, too, as it begins.
func (r *Register) Watch(ctx context.Context, prefix string) <-chan string {
	names := make(chan string)
	ctx, stop := context.WithCancel(ctx)
	asked := []api.Selection{{Kind: secrets, Namespace: r.Namespace, Labels: r.selector(prefix)}}
	if strings.HasPrefix(termKind, prefix) {
		asked = append(asked, api.Selection{Kind: leases, Namespace: r.Namespace, Labels: labelTarget + "=" + r.Name})
	}
	var all []*api.Watching
	for _, s := range asked {
		if w, err := r.Conn.Watch(ctx, s, ""); err == nil {
			all = append(all, w)
		} else {
			stop()
		}
	}
	go func() {
		defer close(names)
		var g errgroup.Group
		for _, w := range all {
			g.Go(func() error {
				defer stop() // one that is deaf ends all
				defer w.Close()
				tell(ctx, w, prefix, names)
				return nil
			})
		}
		g.Wait()
		stop()
	}()
	return names
}

// tell passes on the names of records, until either side has enough.
func tell(ctx context.Context, w *api.Watching, prefix string, names chan<- string) {
	for {
		e, err := w.Next()
		if err != nil {
			return
		}
		name := e.Object.GetAnnotations()[noteName]
		if e.Object.GroupVersionKind() == leases {
			name = termName(number(e.Object))
		}
		if e.Type == watch.Bookmark || !strings.HasPrefix(name, prefix) {
			continue
		}
		select {
		case names <- name:
		case <-ctx.Done():
			return
		}
	}
}

// Where implements record.Register.
func (r *Register) Where(name string) string {
	if _, term := termNumber(name); term {
		return "the Lease " + r.Namespace + "/" + r.lease()
	}
	return "the Secret " + r.Namespace + "/" + r.object(name)
}

// said puts what a cluster answers most often into words that say what to do.
func (r *Register) said(ctx context.Context, err error) error {
	if api.IsNotFound(err) {
		return op.Hint(fmt.Errorf("there is no namespace %q", r.Namespace), "kubectl create namespace %s: the state namespace must be there before", r.Namespace)
	}
	if r.Explain != nil {
		return r.Explain(ctx, err)
	}
	return err
}
