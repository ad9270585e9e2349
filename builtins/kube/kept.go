package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/kube/reconcile"
	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/op"
)

// What a target was brought to is a record "want.RUN.NUMBER" from before it happens; what was accepted is one
// "good.NUMBER.RUN", the highest number the latest. Both hold the rendered objects, so that going back needs neither the
// manifests nor the machine that had them.
const (
	wantKind = "want."
	goodKind = "good."
)

// Revision is what was accepted once.
type Revision struct {
	_       op.Doc    `doc:"A deployment to a cluster that was accepted as good."`
	Number  int       `json:"number" doc:"Its number, the highest the latest."`
	Name    string    `json:"name" doc:"The run that applied it."`
	Version string    `json:"version" doc:"The application's version, where the script has said it."`
	At      time.Time `json:"at" doc:"When it was accepted."`
	Images  []string  `json:"images" doc:"The images of its containers."`
	Live    bool      `json:"live" doc:"Whether it is what the cluster was asked for last."`
}

// good is a revision with the objects that it was.
type good struct {
	Revision
	body   goodBody
	record record.Record
}

// goodBody is what a record of a good deployment holds.
type goodBody struct {
	Version string           `json:"version,omitempty"`
	At      time.Time        `json:"at"`
	Wants   []reconcile.Want `json:"wants"`
	Applied []reconcile.Kept `json:"applied"` // what the inventory said of it
}

func runOf(key op.Key) string {
	run, _, _ := strings.Cut(string(key), "/")
	return run
}

// keepWanted keeps what an op is about to bring a target to.
func (at place) keepWanted(ctx context.Context, key op.Key, wants []reconcile.Want) error {
	data, err := json.Marshal(wants)
	if err != nil {
		return err
	}
	for of := wantKind + runOf(key); ; {
		before, err := at.reg.ListOf(ctx, of)
		if err != nil {
			return err
		}
		won, err := at.reg.Put(ctx, record.Record{Name: fmt.Sprintf("%s.%06d", of, len(before)+1), Of: of, Data: data})
		if err != nil || won {
			return err
		}
	}
}

// kept is what a run has brought the target to last; nothing where it has not.
func (at place) kept(ctx context.Context, run string) ([]reconcile.Want, error) {
	found, err := at.reg.ListOf(ctx, wantKind+run)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	last := found[len(found)-1]
	var wants []reconcile.Want
	if err := json.Unmarshal(last.Data, &wants); err != nil {
		return nil, fmt.Errorf("cannot read the record %s: %w", last.Name, err)
	}
	return wants, nil
}

var goodName = regexp.MustCompile(`^good\.(\d{9})\.(.+)$`)

// goods are the deployments that were accepted, the latest first.
func (at place) goods(ctx context.Context) ([]good, error) {
	found, err := at.reg.List(ctx, goodKind)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	now, err := reconcile.Inventory(ctx, at.conn, at.set)
	if err != nil {
		return nil, err
	}
	var out []good
	for _, rec := range found {
		m := goodName.FindStringSubmatch(rec.Name)
		var body goodBody
		if m == nil || json.Unmarshal(rec.Data, &body) != nil {
			return nil, fmt.Errorf("cannot read the record %s of %s: it holds something else", rec.Name, at.set.Name)
		}
		g := good{Revision: Revision{Name: m[2], Version: body.Version, At: body.At, Images: reconcile.Images(body.Wants), Live: reconcile.Same(body.Applied, now)}, body: body, record: rec}
		fmt.Sscan(m[1], &g.Number)
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b good) int { return cmp.Compare(b.Number, a.Number) })
	return out, nil
}
