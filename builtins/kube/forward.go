package kube

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/reach"
	"github.com/erlmcp/runner/builtins/kube/rights"
	"github.com/erlmcp/runner/runtime/op"
)

// Forward is kube.forward.
type Forward struct {
	_       op.Doc          `doc:"Gives an address on this machine that leads to the new pods of a workload, in turn, for as long as the run lasts. A pod that goes is no longer led to."`
	Cluster cluster.Cluster `json:"cluster" doc:"The target, such as environment.target."`
	To      string          `json:"to,omitempty" doc:"The workload and its port, such as \"deployment/web:8080\"; what the target serves when left out."`
}

// Forwarded is where the pods answer.
type Forwarded struct {
	_    op.Doc `doc:"An address that leads to pods."`
	Base string `json:"base" doc:"The address, such as http://127.0.0.1:40123."`
}

// Summary implements op.Op.
func (f Forward) Summary() string { return "lead to the pods of " + f.to() }

func (f Forward) to() string {
	if f.To != "" {
		return f.To
	}
	return f.Cluster.Serves
}

// Check implements op.Checked.
func (f Forward) Check() error {
	_, _, err := f.parts()
	return err
}

func (f Forward) parts() (name string, port int, err error) {
	name, number, _ := strings.Cut(f.to(), ":")
	port, err = strconv.Atoi(number)
	if err == nil {
		_, err = reach.Workload(f.Cluster.Namespace, name)
	}
	if err != nil {
		return "", 0, fmt.Errorf("to: want a workload and its port, such as deployment/web:8080, got %q", f.to())
	}
	return name, port, nil
}

// Do implements op.Op. The address outlives the op, not the process.
func (f Forward) Do(ctx context.Context, d *Kubernetes) (Forwarded, error) {
	base, err := f.open(ctx, context.WithoutCancel(ctx), d)
	return Forwarded{Base: base}, err
}

// open is an address that leads to the pods until lasting ends.
func (f Forward) open(ctx, lasting context.Context, d *Kubernetes) (base string, err error) {
	at, err := d.at(ctx, f.Cluster)
	if err != nil {
		return "", err
	}
	name, port, err := f.parts()
	if err != nil {
		return "", err
	}
	workload, err := reach.Workload(f.Cluster.Namespace, name)
	if err != nil {
		return "", err
	}
	if err := rights.Check(ctx, at.conn, rights.Reaching(f.Cluster.Namespace)); err != nil {
		return "", fmt.Errorf("cannot %s: %w", f.Summary(), err)
	}
	found, err := reach.Pods(ctx, at.conn, workload)
	if err != nil {
		return "", fmt.Errorf("cannot %s: %w", f.Summary(), err)
	}
	if len(found) == 0 {
		return "", fmt.Errorf("cannot %s: none of the newest revision is ready", f.Summary())
	}
	base, err = (&reach.Way{Conn: at.conn, Workload: workload, Port: port}).Listen(lasting)
	return base, err
}
