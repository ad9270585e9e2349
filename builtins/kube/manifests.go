package kube

import (
	"context"
	"errors"
	"fmt"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/manifest"
	"github.com/erlmcp/runner/runtime/op"
)

// Manifests is kube.manifests.
type Manifests struct {
	_        op.Doc            `doc:"Reads a target's manifests and says what they ask for, with what the target says in place of what they say. It asks no cluster."`
	Cluster  cluster.Cluster   `json:"cluster" doc:"The target, such as environment.target."`
	Images   map[string]string `json:"images,omitempty" doc:"Images by the name that manifests have for them, over the target's own."`
	Replicas map[string]int    `json:"replicas,omitempty" doc:"Replicas by the name of a workload, over the target's own."`
	Objects  []manifest.Given  `json:"objects,omitempty" doc:"Objects that lie in no file: kube.secret(...) and kube.configmap(...)."`
}

// Asked is what a target's manifests ask for.
type Asked struct {
	_        op.Doc   `doc:"What a target's manifests ask for."`
	Objects  []Object `json:"objects" doc:"Its objects, by stage and then by kind."`
	Images   []string `json:"images" doc:"The images of all containers."`
	Digest   string   `json:"digest" doc:"A digest of all that is applied: another one is another set."`
	Warnings []string `json:"warnings" doc:"What a cluster takes and what will hurt, each with its place."`
	Files    []string `json:"files" doc:"The files that were read."`
}

// Object is one object of a set.
type Object struct {
	_         op.Doc `doc:"One object of a set."`
	Kind      string `json:"kind" doc:"Its kind."`
	Namespace string `json:"namespace" doc:"Its namespace; empty where the kind has none."`
	Name      string `json:"name" doc:"Its name. That of a ConfigMap or a Secret may end in a digest of what it holds."`
	File      string `json:"file" doc:"Where it is written."`
	Line      int    `json:"line" doc:"On which line; 0 for one of the script."`
	Stage     int    `json:"stage" doc:"Those of a stage come together, behind all of the stages before. Stage 0 has Namespaces and CustomResourceDefinitions."`
}

var _ op.Op[*Kubernetes, Asked] = Manifests{}

// Summary implements op.Op.
func (m Manifests) Summary() string { return "read the manifests of " + m.Cluster.Name }

// Do implements op.Op.
func (m Manifests) Do(ctx context.Context, d *Kubernetes) (Asked, error) {
	set, err := manifest.Load(ctx, d.Host, m.Cluster, manifest.Overrides{Images: m.Images, Replicas: m.Replicas, Objects: m.Objects})
	if err != nil {
		return Asked{}, err
	}
	for _, w := range set.Warnings {
		fmt.Fprintf(op.Output(ctx), "warning: %s\n", w)
	}
	out := Asked{Images: set.Images, Digest: set.Digest, Warnings: set.Warnings, Files: set.Files}
	for _, o := range set.Objects {
		out.Objects = append(out.Objects, Object{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName(), File: o.File, Line: o.Line, Stage: o.Stage})
	}
	return out, nil
}

// Check is kube.check.
type Check struct {
	_       op.Doc           `doc:"Looks for every mistake in a target's manifests, and gives each as a line with its place. It asks no cluster."`
	Cluster cluster.Cluster  `json:"cluster" doc:"The target, such as environment.target."`
	Objects []manifest.Given `json:"objects,omitempty" doc:"Objects that lie in no file: kube.secret(...) and kube.configmap(...)."`
}

// Summary implements op.Op.
func (c Check) Summary() string { return "check the manifests of " + c.Cluster.Name }

// Do implements op.Op.
func (c Check) Do(ctx context.Context, d *Kubernetes) ([]string, error) {
	_, err := manifest.Load(ctx, d.Host, c.Cluster, manifest.Overrides{Objects: c.Objects})
	var wrong *manifest.Invalid
	switch {
	case err == nil:
		return []string{}, nil
	case errors.As(err, &wrong):
		return wrong.Lines(), nil
	}
	return nil, err
}
