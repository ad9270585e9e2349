package kube

import (
	"context"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/manifest"
	"github.com/erlmcp/runner/runtime/op"
)

// Diff is kube.diff.
type Diff struct {
	_        op.Doc            `doc:"Asks the server what kube.apply would change, by requests that change nothing. What a Secret holds is not shown."`
	Cluster  cluster.Cluster   `json:"cluster" doc:"The target, such as environment.target."`
	Images   map[string]string `json:"images,omitempty" doc:"Images by the name that manifests have for them, in place of those that the target says."`
	Replicas map[string]int    `json:"replicas,omitempty" doc:"Replicas by the name of a workload, in place of those that the target says."`
	Objects  []manifest.Given  `json:"objects,omitempty" doc:"Objects that lie in no file: kube.secret(...), kube.configmap(...)."`
	Take     bool              `json:"take,omitempty" doc:"Whether fields would be taken from others who own them."`
	Replace  bool              `json:"replace,omitempty" doc:"Whether objects would be made anew where a field cannot be changed otherwise."`
}

// Changes is what an apply would change.
type Changes struct {
	_       op.Doc   `doc:"What kube.apply would change."`
	Objects int      `json:"objects" doc:"How many objects would be applied; 0 where all is as asked."`
	Lines   []string `json:"lines" doc:"The changes, as runner plan shows them."`
	Refused []string `json:"refused" doc:"What the server would refuse, and why."`
}

// Summary implements op.Op.
func (f Diff) Summary() string { return "compare " + f.Cluster.Name + " with its manifests" }

// Do implements op.Op.
func (f Diff) Do(ctx context.Context, d *Kubernetes) (Changes, error) {
	how := aim{cluster: f.Cluster, take: f.Take, replace: f.Replace, want: func(ctx context.Context, d *Kubernetes, at place) (asked, error) {
		return d.wanted(ctx, at, f.Cluster, manifest.Overrides{Images: f.Images, Replicas: f.Replicas, Objects: f.Objects})
	}}
	foreseen, p, err := how.foresee(ctx, d)
	if err != nil {
		return Changes{}, err
	}
	out := Changes{Objects: len(p.Acts), Lines: append([]string{}, foreseen.Lines...), Refused: []string{}}
	for _, err := range foreseen.Refused {
		out.Refused = append(out.Refused, op.OneLine(err))
	}
	return out, nil
}
