// Package kubetest is what tests of what speaks to a Kubernetes cluster share: a control plane with simulated nodes, a real
// node, a namespace for each test, and a proxy that lets requests fail. It is for tests alone.
package kubetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/host"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Cluster is a Kubernetes for tests. Everything of it ends when the process that started it does, however that ends.
type Cluster struct {
	Kubeconfig string // the administrator's
	Context    string // the one in it
	Server     string // the API server's address
	CA         string // the file of the authority that the API server is known by
	Dir        string // keys, logs and data

	program string
	source  string // testdata/kube
	procs   host.Linux
	config  *rest.Config
	alive   *os.File // closed when this process ends
}

// Lab is a control plane: etcd, an API server, the controllers, a scheduler, and kwok for one node, sim-1, that brings
// pods about as testdata/kube/stages says.
type Lab struct {
	Cluster
	etcd      string
	apiserver *process
}

// shared is the control plane of this process.
var shared = sync.OnceValues(start)

// Start gives the control plane of this test's process, which the first call starts.
func Start(t testing.TB) *Lab {
	t.Helper()
	l, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Config is the administrator's way to the cluster.
func (l *Cluster) Config() *rest.Config { return rest.CopyConfig(l.config) }

// Conn is a connection of its own to the cluster, as the administrator.
func (l *Cluster) Conn(t testing.TB) *api.Conn {
	t.Helper()
	return connect(t, l.config)
}

func connect(t testing.TB, config *rest.Config) *api.Conn {
	t.Helper()
	c, err := api.New(config, host.SystemClock{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Namespace makes a namespace for the test. In the end it is deleted, which nobody waits for.
func (l *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	name := "test-" + strings.ToLower(rand.Text()[:10])
	c := l.Conn(t)
	if _, err := c.Create(t.Context(), namespace(name)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Delete(context.Background(), api.RefOf(namespace(name)), ""); err != nil {
			t.Error(err)
		}
	})
	return name
}

func namespace(name string) *api.Object {
	return &api.Object{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}}
}

// Kubectl is what kubectl of the cluster's version prints, as the administrator: the view of somebody else.
func (l *Cluster) Kubectl(t testing.TB, args ...string) string {
	t.Helper()
	return l.prints(t, append([]string{l.program, "kubectl", "--kubeconfig", l.Kubeconfig}, args...))
}

// Helm is what helm prints, which RUNNER_LABHELM names, by a kubeconfig. It keeps what it keeps in a folder.
func (l *Cluster) Helm(t testing.TB, kubeconfig, dir string, args ...string) string {
	t.Helper()
	program := os.Getenv("RUNNER_LABHELM")
	if program == "" {
		t.Fatal("RUNNER_LABHELM names no helm: sh testdata/kube/helm.sh builds it once, and prints its name")
	}
	env := []string{"KUBECONFIG=" + kubeconfig, "HELM_CACHE_HOME=" + dir, "HELM_CONFIG_HOME=" + dir, "HELM_DATA_HOME=" + dir}
	return l.prints(t, append([]string{program}, args...), env...)
}

// printing is how long a program may take that prints something.
const printing = 3 * time.Minute

func (l *Cluster) prints(t testing.TB, argv []string, env ...string) string {
	t.Helper()
	var out, bad bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), printing)
	defer cancel()
	exit, err := l.procs.Run(ctx, host.Cmd{Argv: argv, Dir: l.Dir, Env: append(os.Environ(), env...), Stdout: &out, Stderr: &bad, Leash: true}, nil)
	if err != nil || exit != (host.Exit{}) {
		t.Fatalf("%s: %s %v: %s", strings.Join(argv, " "), exit, err, bad.String())
	}
	return out.String()
}

// Link makes kubectl of the cluster's version a program in a folder.
func (l *Cluster) Link(t testing.TB, dir string) {
	t.Helper()
	if err := os.Symlink(l.program, filepath.Join(dir, "kubectl")); err != nil {
		t.Fatal(err)
	}
}

// KillAPIServer ends the API server at once. The tests that run side by side lose it too.
func (l *Lab) KillAPIServer(t testing.TB) {
	t.Helper()
	l.apiserver.kill()
}

// RestartAPIServer starts the API server at the same address, killed if it was not, and waits until it answers.
func (l *Lab) RestartAPIServer(t testing.TB) {
	t.Helper()
	l.apiserver.kill()
	if err := l.serve(); err != nil {
		t.Fatal(err)
	}
}

// load reads the administrator's kubeconfig.
func (l *Cluster) load() error {
	l.Kubeconfig, l.Context, l.CA = filepath.Join(l.Dir, "admin.kubeconfig"), "lab", filepath.Join(l.Dir, "ca.crt")
	b, err := os.ReadFile(l.Kubeconfig)
	if err != nil {
		return err
	}
	l.config, err = clientcmd.RESTConfigFromKubeConfig(b)
	return err
}
