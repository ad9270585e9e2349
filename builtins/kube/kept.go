package kube

import (
	"context"
	"time"

	"github.com/erlmcp/runner/builtins/good"
	"github.com/erlmcp/runner/builtins/kube/reconcile"
	"github.com/erlmcp/runner/runtime/op"
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

// applied is what a good deployment consists of.
type applied struct {
	Wants   []reconcile.Want `json:"wants"`
	Applied []reconcile.Kept `json:"applied"` // what the inventory said of it
}

type deployment = good.Deployment[applied]

func revisionOf(g deployment) Revision {
	return Revision{Number: g.Number, Name: g.Run, Version: g.Version, At: g.At, Images: reconcile.Images(g.Body.Wants), Live: g.Live}
}

// goods are the deployments that were accepted, the latest first.
func (at place) goods(ctx context.Context) ([]deployment, error) {
	out, err := good.List[applied](ctx, at.reg)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	now, err := reconcile.Inventory(ctx, at.conn, at.set)
	for i := range out {
		out[i].Live = reconcile.Same(out[i].Body.Applied, now)
	}
	return out, err
}
