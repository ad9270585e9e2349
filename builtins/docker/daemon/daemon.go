// Package daemon is the connection to a Docker engine: where it is, that it is new enough, and its errors in words that
// say what to do. It decides nothing about containers, and starts no program.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"sync"
	"syscall"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"
)

// lowest is the oldest API that is spoken: Docker 20.10's.
const lowest = "1.41"

// Engine is one Docker engine.
type Engine struct {
	*client.Client
	Address string // as it was found, such as "unix:///var/run/docker.sock"
	API     string // the version spoken
}

// AtLeast reports whether the engine speaks an API, such as "1.44".
func (e *Engine) AtLeast(api string) bool { return versions.GreaterThanOrEqualTo(e.API, api) }

// Pool keeps one connection to each engine that a run speaks to. It is safe for concurrent use.
type Pool struct {
	Host *host.Host

	mu   sync.Mutex
	open map[string]*Engine
}

// NewPool is a pool without connections.
func NewPool(h *host.Host) *Pool { return &Pool{Host: h, open: map[string]*Engine{}} }

// Open gives the engine at an address; "" is what DOCKER_HOST, the current Docker context or else the default socket
// says. The first call for an address asks the engine for its version.
func (p *Pool) Open(ctx context.Context, address string) (*Engine, error) {
	at, err := p.find(address)
	if err != nil {
		return nil, fmt.Errorf("cannot tell where the Docker engine is: %w", err)
	}
	p.mu.Lock()
	e := p.open[at.address]
	p.mu.Unlock()
	if e != nil {
		return e, nil
	}
	if e, err = connect(ctx, at); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.open[at.address]; first != nil {
		e.Close()
		return first, nil
	}
	p.open[at.address] = e
	return e, nil
}

func connect(ctx context.Context, at endpoint) (*Engine, error) {
	line := &line{address: at.address}
	options, err := at.options(line)
	if err != nil {
		return nil, fmt.Errorf("cannot use the Docker engine at %s: %w", at.address, err)
	}
	c, err := client.New(options...)
	if err != nil {
		return nil, fmt.Errorf("cannot use the Docker engine at %s: %w", at.address, err)
	}
	pong, err := c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	if err != nil {
		c.Close()
		return nil, unreachable(at.address, line.cause(err))
	}
	if versions.LessThan(pong.APIVersion, lowest) {
		c.Close()
		return nil, op.Hint(fmt.Errorf("cannot use the Docker engine at %s: it speaks API %s, and %s is the oldest that will do", at.address, pong.APIVersion, lowest),
			"Docker 20.10 and newer speak it")
	}
	return &Engine{Client: c, Address: at.address, API: c.ClientVersion()}, nil
}

// unreachable says why an engine does not answer, and what to do about it.
func unreachable(address string, err error) error {
	switch path, unix := strings.CutPrefix(address, "unix://"); {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("cannot reach the Docker engine at %s: %w", address, err)
	case errors.Is(err, fs.ErrPermission):
		return op.Hint(fmt.Errorf("cannot reach the Docker engine at %s: permission denied", address),
			"deploy as a member of the group that owns %s, usually docker", path)
	case errors.Is(err, fs.ErrNotExist) && unix:
		return op.Hint(fmt.Errorf("cannot reach the Docker engine at %s: nothing is there", address),
			"start it, or say where it is: DOCKER_HOST, or engine = in environments.star")
	case errors.Is(err, syscall.ECONNREFUSED):
		return op.Hint(fmt.Errorf("cannot reach the Docker engine at %s: connection refused", address), "start it: systemctl start docker")
	}
	return op.Hint(fmt.Errorf("cannot reach the Docker engine at %s: %w", address, innermost(err)),
		"DOCKER_HOST, or engine = in environments.star, says where it is")
}

// innermost leaves out what the network's errors say of themselves.
func innermost(err error) error {
	var net *net.OpError
	if errors.As(err, &net) {
		return net.Err
	}
	return err
}
