// Package register keeps small records in a Docker engine, without a file on its host and without a container: each is a
// volume that is never mounted, and its labels are the data. Of many who create one record at once, one wins, and what
// the engine has said to be there survives the engine. The package knows nothing of what the records mean.
package register

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"

	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/host"
)

// driver is named in each request: without that, an engine takes a volume that it was killed in the middle of making
// for one that is there.
const driver = "local"

// Register is the records of one project on an engine.
type Register struct {
	Engine  *client.Client
	Project string
	Clock   host.Clock
}

var _ record.Register = (*Register)(nil)

// Put implements record.Register.
func (r *Register) Put(ctx context.Context, rec record.Record) (won bool, err error) {
	rec.Mark = cmp.Or(rec.Mark, rand.Text())
	labels, parts := r.pack(rec)
	name := r.volume(rec.Name)
	if longest := name + partName(rec.Mark, len(parts)); len(longest) > maxName {
		return false, fmt.Errorf("cannot keep the record %s of %s: its name is too long for the engine", rec.Name, r.Project)
	}
	for i, p := range parts {
		if _, err := r.create(ctx, name+partName(rec.Mark, i), p); err != nil {
			return false, fmt.Errorf("cannot write the record %s to the Docker engine: %w", rec.Name, err)
		}
	}
	there, err := r.create(ctx, name, labels)
	if err == nil && len(there) == 0 {
		// The engine was killed while it made this volume, and somebody has looked at the rest since.
		if err = r.remove(ctx, name); err == nil {
			there, err = r.create(ctx, name, labels)
		}
	}
	switch {
	case err != nil:
		return false, fmt.Errorf("cannot write the record %s to the Docker engine: %w", rec.Name, err)
	case there[labelProject] != r.Project:
		return false, fmt.Errorf("cannot write the record %s to the Docker engine: the volume %s is somebody else's", rec.Name, name)
	case there[labelMark] == rec.Mark:
		return true, nil
	}
	for i := range parts {
		r.remove(ctx, name+partName(rec.Mark, i)) // what is left is removed with the record that won
	}
	return false, nil
}

// create makes a volume, or finds the one that is there, and gives its labels.
func (r *Register) create(ctx context.Context, name string, labels map[string]string) (map[string]string, error) {
	var got client.VolumeCreateResult
	err := r.again(ctx, func(ctx context.Context) (err error) {
		got, err = r.Engine.VolumeCreate(ctx, client.VolumeCreateOptions{Name: name, Driver: driver, Labels: labels})
		return err
	})
	return got.Volume.Labels, err
}

func (r *Register) remove(ctx context.Context, name string) error {
	return r.again(ctx, func(ctx context.Context) error {
		_, err := r.Engine.VolumeRemove(ctx, name, client.VolumeRemoveOptions{})
		if errdefs.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// Delete implements record.Register.
func (r *Register) Delete(ctx context.Context, rec record.Record) error {
	name := r.volume(rec.Name)
	err := r.remove(ctx, name)
	for i := range rec.Parts {
		err = errors.Join(err, r.remove(ctx, name+partName(rec.Mark, i)))
	}
	if err != nil {
		return fmt.Errorf("cannot remove the record %s from the Docker engine: %w", rec.Name, err)
	}
	return nil
}

// List implements record.Register.
func (r *Register) List(ctx context.Context, prefix string) ([]record.Record, error) {
	return r.list(ctx, client.Filters{}.Add("name", "^"+regexp.QuoteMeta(r.volume(prefix))))
}

// ListOf implements record.Register.
func (r *Register) ListOf(ctx context.Context, of string) ([]record.Record, error) {
	return r.list(ctx, client.Filters{}.Add("label", labelProject+"="+r.Project, labelOf+"="+of))
}

// looks is how often a list is read again because of records that come or go meanwhile.
const looks = 5

// list reads until nothing is seen half made or half gone. An engine collects the volumes first and their labels then:
// one that was removed in between has none, and a record that took its place is missing. It holds back the answer until
// that removal is done; so volumes without labels in two answers are what a killed engine has left, and mean nothing.
func (r *Register) list(ctx context.Context, f client.Filters) ([]record.Record, error) {
	f.Add("driver", driver)
	var before []string
	for look := 1; ; look++ {
		var got client.VolumeListResult
		err := r.again(ctx, func(ctx context.Context) (err error) {
			got, err = r.Engine.VolumeList(ctx, client.VolumeListOptions{Filters: f})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("cannot read the records of %s from the Docker engine: %w", r.Project, err)
		}
		records, bare, err := r.assemble(got.Items)
		if err == nil && (len(bare) == 0 || slices.Equal(bare, before)) || look == looks {
			return records, err
		}
		before = bare
	}
}

// assemble turns volumes into records, and names those without labels.
func (r *Register) assemble(volumes []volume.Volume) (out []record.Record, bare []string, err error) {
	byName := map[string]map[string]string{}
	for _, v := range volumes {
		if byName[v.Name] = v.Labels; len(v.Labels) == 0 {
			bare = append(bare, v.Name)
		}
	}
	slices.Sort(bare)
	for name, labels := range byName {
		short, ours := strings.CutPrefix(name, r.volume(""))
		if _, part := labels[labelPart]; !ours || part || labels[labelProject] != r.Project {
			continue
		}
		rec, e := unpack(short, labels, func(i int) map[string]string { return byName[name+partName(labels[labelMark], i)] })
		if e != nil {
			err = fmt.Errorf("cannot read the record %s from the Docker engine: %w", short, e)
			continue
		}
		out = append(out, rec)
	}
	slices.SortFunc(out, func(a, b record.Record) int { return strings.Compare(a.Name, b.Name) })
	return out, bare, err
}

// Where implements record.Register.
func (r *Register) Where(name string) string { return "the volume " + r.volume(name) }

// volume is what the engine calls a record. No project's name has a dot, so no two projects meet.
func (r *Register) volume(name string) string { return r.Project + "_runner." + name }

// Watch implements record.Register.
func (r *Register) Watch(ctx context.Context, prefix string) <-chan string {
	names := make(chan string)
	events := r.Engine.Events(ctx, client.EventsListOptions{Filters: client.Filters{}.
		Add("type", "volume").Add("event", "create", "destroy").Add("volume", r.volume(prefix))})
	go func() {
		defer close(names)
		for {
			select {
			case m := <-events.Messages:
				short, ours := strings.CutPrefix(m.Actor.ID, r.volume(""))
				if !ours || !strings.HasPrefix(short, prefix) {
					continue
				}
				select {
				case names <- short:
				case <-ctx.Done():
					return
				}
			case <-events.Err:
				return
			}
		}
	}()
	return names
}
