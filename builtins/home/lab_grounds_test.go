//go:build labs

package home

import (
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"strings"
	"testing"

	compose "github.com/erlmcp/runner/builtins/compose/register"
	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	kube "github.com/erlmcp/runner/builtins/kube/register"
	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/host"
)

// ground is what has the records of a site's target.
type ground interface {
	// register is the records over a connection of its own: straight, or by way of a line.
	register(t *testing.T, by *line, clock host.Clock) record.Register
	// line is a way there on which requests fail.
	line(t *testing.T, fault func(n int) fault) *line
	// another is one like it, with another target.
	another(t *testing.T) ground
	// wipe removes everything, as others can who may use the server.
	wipe(t *testing.T)
}

// line is a way to a server on which requests fail. Streams do not count.
type line struct {
	asked   func() int
	streams <-chan func() // what ends a stream, when it is asked for
	docker  *dockertest.Proxy
	kube    *kubetest.Proxy
}

// fault is what becomes of a request.
type fault = dockertest.Fault

const (
	none    = dockertest.None
	dropped = dockertest.Dropped
	cut     = dockertest.Cut
	refused = dockertest.Refused
	halved  = dockertest.Halved
)

// everywhere runs a test on each ground.
func everywhere(t *testing.T, test func(*testing.T, ground)) {
	for name, g := range map[string]ground{"engine": &engine{}, "cluster": &cluster{}} {
		t.Run(name, func(t *testing.T) { test(t, g) })
	}
}

type engine struct{ project string }

func (*engine) another(t *testing.T) ground {
	e := &engine{project: "runner-test-" + strings.ToLower(rand.Text()[:10])}
	t.Cleanup(func() { e.wipe(t) })
	return e
}

func (e *engine) open(t *testing.T, address string) *daemon.Engine {
	t.Helper()
	got, err := daemon.NewPool(&host.Host{Files: host.OS{}, Clock: host.SystemClock{}, Env: os.Environ()}).Open(context.Background(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { got.Close() })
	return got
}

func (e *engine) register(t *testing.T, by *line, clock host.Clock) record.Register {
	address := ""
	if by != nil {
		address = by.docker.Address
	}
	return &compose.Register{Engine: e.open(t, address).Client, Project: e.project, Clock: clock}
}

func (e *engine) line(t *testing.T, fault func(n int) fault) *line {
	p := dockertest.NewProxy(t, e.open(t, "").Address, func(n int, _ *http.Request) dockertest.Fault { return fault(n) })
	streams := make(chan func(), 1000)
	go func() {
		for stop := range p.Streams {
			streams <- stop
		}
	}()
	return &line{p.Asked, streams, p, nil}
}

func (e *engine) wipe(t *testing.T) {
	r := e.register(t, nil, host.SystemClock{})
	all, err := r.List(context.Background(), "")
	if err == nil {
		err = record.DeleteAll(context.Background(), r, all)
	}
	if err != nil {
		t.Error(err)
	}
}

type cluster struct {
	*kubetest.Lab
	namespace string
}

func (*cluster) another(t *testing.T) ground {
	lab := kubetest.Start(t)
	return &cluster{lab, lab.Namespace(t)}
}

func (c *cluster) register(t *testing.T, by *line, clock host.Clock) record.Register {
	config := c.Config()
	if by != nil {
		config = by.kube.Config()
	}
	conn, err := api.New(config, clock)
	if err != nil {
		t.Fatal(err)
	}
	return kube.New(conn, c.namespace, "shop")
}

func (c *cluster) line(t *testing.T, fault func(n int) fault) *line {
	p := c.Proxy(t)
	n, streams := 0, make(chan func(), 1000)
	p.Fail(func(r kubetest.Request) *kubetest.Fault {
		if r.Verb == "watch" {
			streams <- p.CutStreams
			return nil
		}
		n++
		return map[dockertest.Fault]*kubetest.Fault{
			dropped: {Drop: true}, cut: {Cut: true}, refused: {Status: 500}, halved: {Cut: true, Status: 500},
		}[fault(n)]
	})
	asked := func() int {
		all := 0
		for what, n := range p.Counts() {
			if !strings.HasPrefix(what, "watch ") {
				all += n
			}
		}
		return all
	}
	return &line{asked, streams, nil, p}
}

func (c *cluster) wipe(t *testing.T) {
	c.Kubectl(t, "delete", "secrets,leases", "--all", "-n", c.namespace)
}
