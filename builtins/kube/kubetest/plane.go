package kubetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/host"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// starting is how long each part may take until it is ready, on a machine that has much to do.
const starting = 2 * time.Minute

// look is how often it is looked at whether a part is ready.
const look = 50 * time.Millisecond

// process is a program that runs until it is killed, or this process ends.
type process struct {
	proc  host.Proc
	name  string
	log   string
	ended chan struct{}
}

func (p *process) kill() {
	unix.Kill(-p.proc.PID, unix.SIGKILL)
	<-p.ended
}

// run starts a part of Kubernetes.
func (l *Cluster) run(name string, args ...string) (*process, error) {
	return l.start(name, os.Environ(), append([]string{l.program, name}, args...)...)
}

// start starts a program that writes to a log of its name.
func (l *Cluster) start(name string, env []string, argv ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(l.Dir, name+".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	started := make(chan host.Proc)
	go func() {
		defer close(p.ended)
		defer log.Close()
		l.procs.Run(context.Background(), host.Cmd{Argv: argv, Dir: l.Dir, Env: env, Stdout: log, Stderr: log, Leash: true},
			func(proc host.Proc) error { started <- proc; return nil })
	}()
	select {
	case p.proc = <-started:
		return p, nil
	case <-p.ended:
		return nil, p.trouble("does not start")
	}
}

func (p *process) trouble(what string) error {
	said, _ := os.ReadFile(p.log)
	return fmt.Errorf("%s %s: %s", p.name, what, said[max(0, len(said)-2000):])
}

// await waits until a part is ready.
func (p *process) await(ready func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), starting)
	defer cancel()
	for {
		asked, done := context.WithTimeout(ctx, 2*time.Second)
		ok := ready(asked)
		done()
		if ok {
			return nil
		}
		select {
		case <-p.ended:
			return p.trouble("has ended")
		case <-ctx.Done():
			return p.trouble("is not ready within " + starting.String())
		case <-time.After(look):
		}
	}
}

// ports are free, and no connection gets one by chance.
func ports(n int) (out []string, err error) {
	const first, last = 20000, 32000 // below what systems give to connections
	for range 1000 {
		port := strconv.Itoa(first + rand.IntN(last-first))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer l.Close()
		if out = append(out, port); len(out) == n {
			return out, nil
		}
	}
	return nil, errors.New("no port is free")
}

// start starts everything, and returns when pods could run.
func start() (l *Lab, err error) {
	l = &Lab{}
	if err := l.find(); err != nil {
		return nil, err
	}
	if l.Dir, err = os.MkdirTemp("", "runner-kube"); err != nil {
		return nil, err
	}
	if err := l.afterwards(`sleep 1; rm -rf "$1"`, l.Dir); err != nil {
		return nil, err
	}
	free, err := ports(7)
	if err != nil {
		return nil, err
	}
	l.etcd, l.Server = "http://127.0.0.1:"+free[0], "https://127.0.0.1:"+free[2]
	if err := l.pki(); err != nil {
		return nil, err
	}
	peer := "http://127.0.0.1:" + free[1]
	if _, err := l.run("etcd", "--name", "lab", "--data-dir", filepath.Join(l.Dir, "etcd"), "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", l.etcd, "--advertise-client-urls", l.etcd,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "lab="+peer); err != nil {
		return nil, err
	}
	if err := l.serve(); err != nil {
		return nil, err
	}
	return l, l.populate(free[3], free[4], free[5])
}

// afterwards has a shell do something when this process is gone.
func (l *Cluster) afterwards(script string, args ...string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	l.alive = w
	ready := make(chan error, 1)
	go func() {
		_, err := l.procs.Run(context.Background(), host.Cmd{Argv: append([]string{"sh", "-c", "cat >/dev/null; " + script, "sh"}, args...), Dir: "/", Env: os.Environ(), Stdin: r},
			func(host.Proc) error { ready <- nil; return nil })
		ready <- err
	}()
	return <-ready
}

// pki makes keys, and a kubeconfig for each part.
func (l *Cluster) pki() error {
	var said bytes.Buffer
	exit, err := l.procs.Run(context.Background(), host.Cmd{Argv: []string{l.program, "pki", l.Dir, l.Server}, Dir: l.Dir, Env: os.Environ(), Stdout: &said, Stderr: &said, Leash: true}, nil)
	if err != nil || exit != (host.Exit{}) {
		return fmt.Errorf("pki: %s %v: %s", exit, err, said.String())
	}
	return l.load()
}

// serve starts the API server.
func (l *Lab) serve() (err error) {
	in := func(name string) string { return filepath.Join(l.Dir, name) }
	l.apiserver, err = l.run("kube-apiserver", "--etcd-servers", l.etcd, "--bind-address", "127.0.0.1", "--secure-port", l.Server[len("https://127.0.0.1:"):],
		"--endpoint-reconciler-type", "none", "--tls-cert-file", in("apiserver.crt"), "--tls-private-key-file", in("apiserver.key"),
		"--client-ca-file", in("ca.crt"), "--authorization-mode", "Node,RBAC", "--service-cluster-ip-range", "10.96.0.0/16",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", in("sa.pub"), "--service-account-signing-key-file", in("sa.key"))
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(l.config)
	if err != nil {
		return err
	}
	return l.apiserver.await(func(ctx context.Context) bool {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, l.Server+"/readyz", nil)
		got, err := client.Do(r)
		if err == nil {
			got.Body.Close()
		}
		return err == nil && got.StatusCode == http.StatusOK
	})
}

// populate starts what makes pods of Deployments, and a node for them.
func (l *Lab) populate(controllers, scheduler, kwok string) error {
	as := func(name string) []string {
		file := filepath.Join(l.Dir, name+".kubeconfig")
		return []string{"--kubeconfig", file, "--authentication-kubeconfig", file, "--authorization-kubeconfig", file, "--bind-address", "127.0.0.1", "--leader-elect=false"}
	}
	in := func(name string) string { return filepath.Join(l.Dir, name) }
	kcm, err := l.run("kube-controller-manager", append(as("controller-manager"), "--secure-port", controllers, "--use-service-account-credentials",
		"--kube-api-qps", "1000", "--kube-api-burst", "1000", "--service-account-private-key-file", in("sa.key"),
		"--root-ca-file", in("ca.crt"), "--cluster-signing-cert-file", in("ca.crt"), "--cluster-signing-key-file", in("ca.key"))...)
	if err != nil {
		return err
	}
	if _, err := l.run("kube-scheduler", append(as("scheduler"), "--secure-port", scheduler)...); err != nil {
		return err
	}
	node, err := l.run("kwok", "--kubeconfig", in("kwok.kubeconfig"), "--manage-all-nodes", "--node-ip", "10.250.0.1", "--cidr", "10.251.0.0/16",
		"--node-lease-duration-seconds", "40", "--server-address", "127.0.0.1:"+kwok, "--config", filepath.Join(l.source, "stages", "stages.yaml"))
	if err != nil {
		return err
	}
	c, err := api.New(l.config, host.SystemClock{})
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(l.source, "stages", "node.yaml"))
	want := &api.Object{}
	if err == nil {
		err = yaml.Unmarshal(text, &want.Object)
	}
	if err == nil {
		_, err = c.Apply(context.Background(), want, api.Applying{})
	}
	if err != nil {
		return err
	}
	err = kcm.await(func(ctx context.Context) bool {
		o, err := c.Get(ctx, api.Ref{Version: "v1", Kind: "ServiceAccount", Namespace: "default", Name: "default"})
		return err == nil && o != nil
	})
	if err != nil {
		return err
	}
	return node.await(func(ctx context.Context) bool {
		o, err := c.Get(ctx, api.RefOf(want))
		return err == nil && o != nil && ready(o)
	})
}

func ready(node *api.Object) bool {
	conditions, _, _ := unstructured.NestedSlice(node.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Ready" {
			return c["status"] == "True"
		}
	}
	return false
}

// find looks for testdata/kube, and for the program, which RUNNER_LABKUBE names or up.sh there has built.
func (l *Cluster) find() error {
	boot, err := host.BootID()
	if err != nil {
		return err
	}
	l.procs = host.Linux{Boot: boot}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "testdata", "kube", "up.sh")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			return errors.New("testdata/kube is in no folder above")
		}
	}
	l.source = filepath.Join(dir, "testdata", "kube")
	if l.program = os.Getenv("RUNNER_LABKUBE"); l.program == "" {
		var out bytes.Buffer
		_, err := l.procs.Run(context.Background(), host.Cmd{Argv: []string{"sh", "testdata/kube/up.sh", "path"}, Dir: dir, Env: os.Environ(), Stdout: &out, Leash: true}, nil)
		if err != nil {
			return err
		}
		l.program = string(bytes.TrimSpace(out.Bytes()))
	}
	if _, err := os.Stat(l.program); err != nil {
		return fmt.Errorf("no Kubernetes for the labs: run \"sh testdata/kube/up.sh\", which builds it once: %w", err)
	}
	return nil
}
