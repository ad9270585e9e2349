// Package connect finds the cluster that a target names, and no other: the current context of a kubeconfig is never used.
// Its errors are in words that say what to do. It decides nothing about objects.
package connect

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Pool keeps one connection to each cluster that a run speaks to. It is safe for concurrent use.
type Pool struct {
	Host *host.Host

	mu      sync.Mutex
	open    []opened
	without map[string]error // why there are no credentials, by the way for which a program was asked for some
}

// opened is a connection, and the target that it was opened for.
type opened struct {
	target cluster.Cluster
	conn   *api.Conn
}

// NewPool is a pool without connections.
func NewPool(h *host.Host) *Pool { return &Pool{Host: h, without: map[string]error{}} }

// Open gives the cluster of a target. The first call for a target asks the cluster for its version, so that what is wrong
// with the way there is known before anything else. A program that gave no credentials is not asked again: somebody may
// have had to answer it.
func (p *Pool) Open(ctx context.Context, c cluster.Cluster) (*api.Conn, error) {
	p.mu.Lock()
	i := slices.IndexFunc(p.open, func(o opened) bool { return way(o.target) == way(c) })
	if i >= 0 {
		defer p.mu.Unlock()
		return p.open[i].conn, nil
	}
	without := p.without[way(c)]
	p.mu.Unlock()
	if without != nil {
		return nil, without
	}
	config, err := p.config(c)
	if err != nil {
		return nil, fmt.Errorf("cannot tell how to reach the cluster of %s: %w", c.Name, err)
	}
	conn, err := api.New(config, host.SystemClock{}) // the limits of its requests are no waits
	if err != nil {
		return nil, fmt.Errorf("cannot use the cluster at %s: %w", config.Host, err)
	}
	err = p.reach(ctx, conn, config)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		why := unreachable(c, config, p.Host.Clock.Now(), err)
		if ctx.Err() == nil && config.ExecProvider != nil && strings.Contains(err.Error(), gettingCredentials) {
			p.without[way(c)] = why
		}
		return nil, why
	}
	p.open = append(p.open, opened{c, conn})
	return conn, nil
}

// signingIn is how long a program may take to give credentials: somebody may have to be asked for them.
const signingIn = 3 * time.Minute

// reach asks for the server's version. A program that gives credentials is started for it, and may take longer than a
// request; nothing ends it.
func (p *Pool) reach(ctx context.Context, conn *api.Conn, config *rest.Config) error {
	if config.ExecProvider == nil {
		return conn.Reach(ctx)
	}
	name := filepath.Base(config.ExecProvider.Command)
	ctx, cancel := p.Host.Clock.Timeout(ctx, signingIn, fmt.Errorf("it was given %s", signingIn))
	defer cancel()
	stop := op.WaitingIf(ctx, func(ctx context.Context) error { return p.Host.Clock.Sleep(ctx, silence) }, name+" to give credentials", p.Host.Clock.Now().Add(signingIn))
	defer stop()
	err := conn.Reach(ctx)
	for errors.Is(err, api.ErrAsking) && ctx.Err() == nil {
		err = conn.Reach(ctx)
	}
	switch {
	case errors.Is(err, api.ErrAsking):
		return fmt.Errorf("%s%s has not ended: %w", gettingCredentials, name, context.Cause(ctx))
	case errors.Is(err, api.ErrNoAnswer): // the program may have taken most of the time
		return conn.Reach(ctx)
	}
	return err
}

// silence is how long a wait goes without a line.
const silence = 500 * time.Millisecond

// Again gives the cluster of a target as an undo log names it: where this machine knows another way to it, which it has
// gone already for the same set of objects, that one.
func (p *Pool) Again(ctx context.Context, c cluster.Cluster) (*api.Conn, error) {
	p.mu.Lock()
	var found []*api.Conn
	for _, o := range p.open {
		if way(o.target) == way(c) {
			defer p.mu.Unlock()
			return o.conn, nil
		}
		if o.target.Namespace == c.Namespace && o.target.Name == c.Name && o.target.State() == c.State() && !slices.Contains(found, o.conn) {
			found = append(found, o.conn)
		}
	}
	p.mu.Unlock()
	if len(found) == 1 {
		return found[0], nil
	}
	return p.Open(ctx, c)
}

// way is what of a target says where its cluster is, and as whom it is asked.
func way(c cluster.Cluster) string {
	return fmt.Sprintf("%q", []any{c.Context, c.Kubeconfig, c.Server, c.CA, c.InCluster, c.AsUser, c.AsGroups})
}
