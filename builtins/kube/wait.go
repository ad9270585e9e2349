package kube

import (
	"context"
	"fmt"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/follow"
	"github.com/erlmcp/runner/runtime/op"
)

// Wait is kube.wait.
type Wait struct {
	_       op.Doc          `doc:"Waits until every object of a target is as it was asked for, and ends as soon as one never will be. What may pass, such as a crash loop or a failing probe, must last a while before it counts."`
	Cluster cluster.Cluster `json:"cluster" doc:"The target, such as environment.target."`
	Within  op.Duration     `json:"within" doc:"How long it may take."`
	Stay    op.Duration     `json:"stay,omitempty" doc:"For how long all must stay ready."`
}

var (
	_ op.Op[*Kubernetes, []Stood] = Wait{}
	_ op.Checked                  = Wait{}
	_ op.Witness[*Kubernetes]     = Wait{}
)

// Summary implements op.Op.
func (w Wait) Summary() string { return "wait until " + w.Cluster.Name + " is live" }

// Check implements op.Checked.
func (w Wait) Check() error {
	switch {
	case w.Within <= 0:
		return fmt.Errorf("within: want more than 0s")
	case w.Stay < 0 || w.Stay >= w.Within:
		return fmt.Errorf("stay: want less than within, which is %s", w.Within)
	}
	return nil
}

// Do implements op.Op.
func (w Wait) Do(ctx context.Context, d *Kubernetes) ([]Stood, error) {
	limited, cancel := d.Host.Clock.Timeout(ctx, w.Within.D(), fmt.Errorf("%s are over", w.Within))
	defer cancel()
	at, items, err := d.items(limited, w.Cluster)
	if err != nil {
		return nil, err
	}
	stop := op.WaitingIf(limited, func(ctx context.Context) error { return d.Host.Clock.Sleep(ctx, silence) },
		fmt.Sprintf("%d objects of %s to be live", len(items), w.Cluster.Name), d.Host.Clock.Now().Add(w.Within.D()))
	r, err := await(limited, at, items, follow.Options{Stay: w.Stay.D()})
	stop()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not live: %w", w.Cluster.Name, err)
	}
	return stood(r), nil
}

// Evidence implements op.Witness.
func (w Wait) Evidence(ctx context.Context, d *Kubernetes) ([]op.Evidence, error) {
	at, items, err := d.items(ctx, w.Cluster)
	if err != nil {
		return nil, err
	}
	return explain(ctx, at, items)
}
