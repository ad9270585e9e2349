// Package record is what the homes of targets are made of: small records that never change, in a register where one of
// many wins who create the same. The package has no register; builtins/compose and builtins/kube have one each.
package record

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
)

// Record is one record. It never changes; a newer one has another name.
type Record struct {
	Name  string // such as "log.a.000001": letters, digits, "_", "." and "-"
	Of    string // what it belongs to; ListOf finds it by that
	Mark  string // who has made it; Put gives one to a record without
	Data  []byte
	Parts int // in how many more pieces it lies; List says so, for Delete
}

// Register keeps the records of one target where any machine finds them that reaches it.
type Register interface {
	// Put makes a record where none of its name is. Won is false where another has made one: that one stays. A record
	// whose mark is there already was made by this Put, or by an earlier one of which the answer was lost; so after an
	// error, the same Record can be put again, and then its fate is known.
	Put(ctx context.Context, rec Record) (won bool, err error)
	// List gives the records whose names begin with prefix, sorted by name.
	List(ctx context.Context, prefix string) ([]Record, error)
	// ListOf gives the records that belong to something, sorted by name.
	ListOf(ctx context.Context, of string) ([]Record, error)
	// Delete removes a record that List has given; one that is gone is no error. The caller sees to it that nobody can
	// take the free name for a place that was never taken.
	Delete(ctx context.Context, rec Record) error
	// Watch tells of records below prefix that come and go: their names, on a channel that is closed when nothing is told
	// any more. It is subscribed when Watch returns; what happened before is for List.
	Watch(ctx context.Context, prefix string) <-chan string
	// Where is what people call the place of a record, such as "the volume shop_runner.hold.000000000001".
	Where(name string) string
}

// atOnce is how many requests are sent side by side.
const atOnce = 8

// DeleteAll removes records in no order, and goes on past what cannot be removed.
func DeleteAll(ctx context.Context, reg Register, all []Record) error {
	var g errgroup.Group
	g.SetLimit(atOnce)
	bad := make([]error, len(all))
	for i, rec := range all {
		g.Go(func() error {
			bad[i] = reg.Delete(ctx, rec)
			return nil
		})
	}
	g.Wait()
	return errors.Join(bad...)
}
