//go:build labs

package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/connect"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/runtime/op"
)

// rivals apply the same objects to a namespace each, through a proxy that counts their requests.
type rivals struct {
	*lab
	b       *testing.B
	proxy   *kubetest.Proxy
	files   string // the objects as files
	chart   string // and as a chart
	version int
	run     int
}

// many is how many objects are applied.
const many = 200

func newRivals(b *testing.B) *rivals {
	b.Helper()
	l := newLab(b)
	r := &rivals{lab: l, b: b, proxy: l.lab.Proxy(b), files: filepath.Join(l.d.Host.Project, "k8s"), chart: filepath.Join(l.d.Host.Project, "chart")}
	err := errors.Join(os.MkdirAll(r.files, 0o755), os.MkdirAll(filepath.Join(r.chart, "templates"), 0o755),
		os.WriteFile(filepath.Join(r.chart, "Chart.yaml"), []byte("apiVersion: v2\nname: bench\nversion: 1.0.0\n"), 0o600))
	if err != nil {
		b.Fatal(err)
	}
	h := *l.d.Host
	h.Env = append(os.Environ(), "KUBECONFIG="+r.proxy.Kubeconfig)
	l.d = &Kubernetes{Host: &h, Pool: connect.NewPool(&h)}
	r.write(many)
	return r
}

// write lays the objects into the project, of which the first n are of a new version.
func (r *rivals) write(n int) {
	r.b.Helper()
	r.version++
	for i := range n {
		text := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d, annotations: {runner.erlmcp.org/versioned: \"false\"}}\ndata: {version: \"%d\"}\n", i, r.version)
		for _, dir := range []string{r.files, filepath.Join(r.chart, "templates")} {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("c%03d.yaml", i)), []byte(text), 0o600); err != nil {
				r.b.Fatal(err)
			}
		}
	}
}

func (r *rivals) target(namespace string) cluster.Cluster {
	return cluster.Cluster{Namespace: namespace, Name: "bench", Context: r.proxy.Context}
}

// ours applies by the op, and says how long it took and how many requests.
func (r *rivals) ours(namespace string) (time.Duration, int) {
	r.b.Helper()
	r.run++
	return r.timed(func() error {
		_, err := Apply{Cluster: r.target(namespace), Timeout: 5 * 60e9, Key: op.Key(fmt.Sprintf("run%d/1", r.run))}.Do(context.Background(), r.d)
		return err
	})
}

// kubectl applies by kubectl of the cluster's version.
func (r *rivals) kubectl(namespace string, flags ...string) (time.Duration, int) {
	r.b.Helper()
	return r.timed(func() error {
		r.lab.lab.Kubectl(r.b, append([]string{"--kubeconfig", r.proxy.Kubeconfig, "--context", r.proxy.Context,
			"--client-certificate", filepath.Join(r.lab.lab.Dir, "admin.crt"), "--client-key", filepath.Join(r.lab.lab.Dir, "admin.key"), // else it asks for a name
			"--cache-dir", filepath.Join(r.files, "..", "cache"), "-n", namespace, "apply", "-f", r.files}, flags...)...)
		return nil
	})
}

// helm applies by helm of version 4, as it does by default: it keeps the release, and waits for nothing.
func (r *rivals) helm(namespace string) (time.Duration, int) {
	r.b.Helper()
	return r.timed(func() error {
		r.lab.lab.Helm(r.b, r.proxy.Kubeconfig, filepath.Join(r.files, "..", "helm"), "upgrade", "--install", "bench", r.chart, "--kube-context", r.proxy.Context, "-n", namespace)
		return nil
	})
}

func (r *rivals) timed(do func() error) (time.Duration, int) {
	r.b.Helper()
	r.proxy.Reset()
	begun := time.Now()
	if err := do(); err != nil {
		r.b.Fatal(err)
	}
	return time.Since(begun), r.proxy.Asked()
}

// applying is a way to apply the objects.
type applying struct {
	name string
	do   func(r *rivals, namespace string) (time.Duration, int)
}

// ways are runner's, which is the first, and the rivals': kubectl with server-side apply and without, where that ends, and helm.
var ways = []applying{
	{"", (*rivals).ours},
	{"-kubectl-ss", func(r *rivals, namespace string) (time.Duration, int) { return r.kubectl(namespace, "--server-side") }},
	{"-kubectl", func(r *rivals, namespace string) (time.Duration, int) { return r.kubectl(namespace) }},
	{"-helm", (*rivals).helm},
}

// BenchmarkLabKube is what applying 200 ConfigMaps takes: those that are not there, those that are as they should be, and
// those of which one is another.
func BenchmarkLabKube(b *testing.B) {
	for name, change := range map[string]func(*rivals){
		"first":     nil,
		"unchanged": func(*rivals) {},
		"one":       func(r *rivals) { r.write(1) },
	} {
		b.Run(name, func(b *testing.B) {
			took, asked := make([]time.Duration, len(ways)), make([]int, len(ways))
			for b.Loop() {
				r := newRivals(b)
				namespaces := make([]string, len(ways))
				for i, way := range ways {
					namespaces[i] = r.lab.lab.Namespace(b)
					if change != nil {
						way.do(r, namespaces[i])
					}
				}
				if change != nil {
					change(r)
				}
				for i, way := range ways {
					d, n := way.do(r, namespaces[i])
					took[i], asked[i] = took[i]+d, n
				}
			}
			for i, way := range ways {
				if i > 0 {
					b.ReportMetric(float64(took[0])/float64(took[i]), "x"+way.name)
				}
				b.ReportMetric(float64(took[i].Milliseconds())/float64(b.N), "ms"+way.name)
				b.ReportMetric(float64(asked[i]), "requests"+way.name)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkLabKubeNoticed is how long it takes from the last write of a Deployment's status to the end of the op that
// waits for it.
func BenchmarkLabKubeNoticed(b *testing.B) {
	l := newLab(b)
	var late time.Duration
	for i := 0; b.Loop(); i++ {
		l.say(fmt.Sprint(i), "info")
		ctx, stop := context.WithCancel(b.Context())
		last := make(chan time.Time)
		go func() { last <- lastStatus(ctx, b, l) }()
		if _, err := (Apply{Cluster: l.target, Timeout: 60e9, Key: op.Key(fmt.Sprintf("run%d/1", i))}).Do(b.Context(), l.d); err != nil {
			b.Fatal(err)
		}
		ended := time.Now()
		time.Sleep(200 * time.Millisecond) // for the watch to have heard all
		stop()
		late += ended.Sub(<-last)
	}
	b.ReportMetric(float64(late.Microseconds())/1000/float64(b.N), "ms-late")
	b.ReportMetric(0, "ns/op")
}

// lastStatus watches a Deployment, and gives the time at which the last change of its status was told.
func lastStatus(ctx context.Context, b *testing.B, l *lab) (last time.Time) {
	was := ""
	l.lab.Conn(b).Until(ctx, api.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: l.target.Namespace, Name: "web"}, func(o *api.Object) bool {
		if o != nil {
			if now := fmt.Sprint(o.Object["status"]); now != was {
				was, last = now, time.Now()
			}
		}
		return false
	})
	return last
}
