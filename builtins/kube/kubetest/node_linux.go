package kubetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/google/go-containerregistry/pkg/registry"
	"golang.org/x/sys/unix"
)

// Node is a real Kubernetes on one node, node1: a control plane, containerd, a kubelet and kube-proxy, in namespaces and
// cgroups of their own. What runs there reaches its own network alone; images come from a registry in this process.
type Node struct {
	Cluster
	Registry string // its address, for the node and for this machine; it speaks plain HTTP

	network *os.File
}

// sharedNode is the node of this process.
var sharedNode = sync.OnceValues(startNode)

// StartNode gives the node of this test's process, which the first call starts.
func StartNode(t testing.TB) *Node {
	t.Helper()
	n, err := sharedNode()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func startNode() (*Node, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("a node for the labs can be started by root alone")
	}
	n := &Node{}
	if err := n.find(); err != nil {
		return nil, err
	}
	me := strconv.Itoa(os.Getpid())
	n.Dir = filepath.Join(os.TempDir(), "runner-node-"+me)
	down := filepath.Join(n.source, "node", "down.sh")
	if err := n.do("/", nil, "sh", down); err != nil {
		return nil, err
	}
	if err := errors.Join(os.Mkdir(n.Dir, 0o711), n.afterwards(`exec sh "$1"`, down), n.pause()); err != nil {
		return nil, err
	}
	p, err := n.start("node", append(os.Environ(), "LABKUBE="+n.program), "unshare", "--net", "bash", filepath.Join(n.source, "node", "up.sh"), n.Dir, me)
	if err != nil {
		return nil, err
	}
	return n, n.join(p)
}

// pause is the image that each pod is held by.
func (n *Node) pause() error {
	program := filepath.Join(n.Dir, "pause")
	if err := n.do(filepath.Join(n.source, "node", "pause"), []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "."); err != nil {
		return err
	}
	return save(program, "lab.invalid/pause:1", filepath.Join(n.Dir, "pause.tar"))
}

// do runs a program to its end.
func (n *Node) do(dir string, env []string, argv ...string) error {
	var said bytes.Buffer
	exit, err := n.procs.Run(context.Background(), host.Cmd{Argv: argv, Dir: dir, Env: append(os.Environ(), env...), Stdout: &said, Stderr: &said, Leash: true}, nil)
	if err == nil && exit != (host.Exit{}) {
		err = errors.New(exit.String())
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, said.String())
	}
	return nil
}

// join waits until the node is ready, and gives it a registry.
func (n *Node) join(p *process) error {
	in := func(name string) string { return filepath.Join(n.Dir, name) }
	there := func(name string) error {
		return p.await(func(context.Context) bool { _, err := os.Stat(in(name)); return err == nil })
	}
	if err := there("networked"); err != nil {
		return err
	}
	address, err := os.ReadFile(in("registry"))
	if err != nil {
		return err
	}
	if n.network, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", p.proc.PID)); err != nil {
		return err
	}
	n.Registry = strings.TrimSpace(string(address))
	l, err := net.Listen("tcp", n.Registry)
	if err != nil {
		return err
	}
	go http.Serve(l, registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	if err := there("ready"); err != nil {
		return err
	}
	if err := n.load(); err != nil {
		return err
	}
	n.Server = n.config.Host
	c, err := api.New(n.config, host.SystemClock{})
	if err != nil {
		return err
	}
	return p.await(func(ctx context.Context) bool {
		account, err := c.Get(ctx, api.Ref{Version: "v1", Kind: "ServiceAccount", Namespace: "default", Name: "default"})
		if err != nil || account == nil {
			return false
		}
		node, err := c.Get(ctx, api.Ref{Version: "v1", Kind: "Node", Name: "node1"})
		return err == nil && node != nil && ready(node)
	})
}

// Push makes an image of a static program, which it starts as a user without rights and with arguments, and pushes it
// under a name such as "web:v1". It gives the whole reference.
func (n *Node) Push(t testing.TB, program, name string, args ...string) string {
	t.Helper()
	repository, tag, _ := strings.Cut(name, ":")
	if err := push(program, n.Registry, repository, tag, args...); err != nil {
		t.Fatal(err)
	}
	return n.Registry + "/" + name
}

// Dial connects to an address in the node's network, of a pod or a Service, from there.
func (n *Node) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	defer here.Close()
	if err := unix.Setns(int(n.network.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back) // a thread in another network must run nothing else, and to end it would end its leashed children
	}
	runtime.UnlockOSThread()
	return conn, err
}

// Client asks from inside of the node's network, each time by a new connection.
func (n *Node) Client() *http.Client {
	return &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DialContext: n.Dial, DisableKeepAlives: true}}
}
