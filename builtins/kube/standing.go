package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/evidence"
	"github.com/erlmcp/runner/builtins/kube/follow"
	"github.com/erlmcp/runner/builtins/kube/manifest"
	"github.com/erlmcp/runner/builtins/kube/reconcile"
	"github.com/erlmcp/runner/builtins/kube/verdict"
	"github.com/erlmcp/runner/runtime/op"
)

// Stood is how one object stands.
type Stood struct {
	_         op.Doc `doc:"How one object of a target stands."`
	Kind      string `json:"kind" doc:"Its kind, such as Deployment."`
	Name      string `json:"name" doc:"Its name."`
	Namespace string `json:"namespace" doc:"Its namespace; empty where its kind has none."`
	State     string `json:"state" doc:"How it is: ready, wait, suspect, doomed, gone or skipped."`
	Why       string `json:"why" doc:"Why, in one line."`
	Cause     string `json:"cause" doc:"What is wrong as one word, such as crash_loop; empty where nothing is."`
	Pod       string `json:"pod" doc:"The pod that it is about; empty where it is about the object itself."`
}

func stood(r follow.Result) []Stood {
	out := []Stood{}
	for _, s := range r.Standing {
		out = append(out, Stood{Kind: s.Ref.Kind, Name: s.Ref.Name, Namespace: s.Ref.Namespace, State: string(s.State), Why: s.Why, Cause: string(s.Cause), Pod: s.Pod})
	}
	return out
}

// await follows objects until all are ready, and tells of what is worth a line. Its error says what is not ready, and what
// to do.
func await(ctx context.Context, at place, items []follow.Item, how follow.Options) (follow.Result, error) {
	out := op.Output(ctx)
	defer out.Close()
	stands := map[api.Ref]verdict.State{}
	ready := 0
	how.Rules = at.rules.of(ctx)
	r, err := follow.Follow(ctx, at.conn, items, how, func(c follow.Change) {
		was := stands[c.Ref]
		stands[c.Ref] = c.State
		if c.Ref.Kind == "" || c.State == verdict.Suspect || c.State == verdict.Skipped || c.State == verdict.Ready && was != "" && was != verdict.Ready {
			fmt.Fprintln(out, c)
		}
		if now, before := c.State == verdict.Ready, was == verdict.Ready; c.Ref.Kind != "" && now != before {
			ready++
			if before {
				ready -= 2
			}
			op.Progress(ctx, int64(ready), int64(len(items)), "objects")
		}
	})
	var failure *follow.Failure
	if errors.As(err, &failure) && failure.Hint != "" {
		err = op.Hint(err, "%s", failure.Hint)
	}
	return r, err
}

// items are the objects of a target as its manifests have them.
func (d *Kubernetes) items(ctx context.Context, c cluster.Cluster) (place, []follow.Item, error) {
	at, err := d.at(ctx, c)
	if err != nil {
		return at, nil, err
	}
	found, err := d.wanted(ctx, at, c, manifest.Overrides{})
	if err != nil {
		return at, nil, err
	}
	return at, itemsOf(found.wants), nil
}

func itemsOf(wants []reconcile.Want) (out []follow.Item) {
	for i := range wants {
		out = append(out, follow.Item{Ref: api.RefOf(&wants[i].Object), Object: &wants[i].Object})
	}
	return out
}

// others is how many objects that are not ready are named behind the one that is shown.
const others = 5

// explain is what explains why objects are not ready: a screen of the worst, and a line of others.
func explain(ctx context.Context, at place, items []follow.Item) ([]op.Evidence, error) {
	at.rules.undoing = true // a rule that goes wrong is what is explained
	r, err := follow.Look(ctx, at.conn, items, at.rules.of(ctx))
	if err != nil {
		return nil, err
	}
	bad := slices.DeleteFunc(r.Standing, func(s follow.Standing) bool { return s.State == verdict.Ready || s.State == verdict.Skipped })
	if len(bad) == 0 {
		return nil, nil
	}
	slices.SortStableFunc(bad, follow.Worst)
	var out []op.Evidence
	for _, p := range evidence.Gather(ctx, at.conn, bad[0].Ref, bad[0].Verdict).Screen() {
		out = append(out, op.Evidence{Title: p.Title, Text: p.Text})
	}
	var more []string
	for _, s := range bad[1:] {
		if len(more) == others {
			more = append(more, fmt.Sprintf("and %d more", len(bad)-1-others))
			break
		}
		more = append(more, s.Ref.String()+": "+s.Why)
	}
	if len(more) > 0 {
		out = append(out, op.Evidence{Title: "not ready either", Text: strings.Join(more, "\n")})
	}
	return out, nil
}

// Evidence implements op.Witness.
func (a Apply) Evidence(ctx context.Context, d *Kubernetes) ([]op.Evidence, error) {
	at, err := d.at(ctx, a.Cluster)
	if err != nil {
		return nil, err
	}
	found, err := a.aim().want(ctx, d, at)
	if err != nil {
		return nil, err
	}
	return explain(ctx, at, itemsOf(found.wants))
}

var _ op.Witness[*Kubernetes] = Apply{}
