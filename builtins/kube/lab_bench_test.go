//go:build labs

package kube

import (
	"context"
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
	files   string
	version int
	run     int
}

// many is how many objects are applied.
const many = 200

func newRivals(b *testing.B) *rivals {
	b.Helper()
	l := newLab(b)
	r := &rivals{lab: l, b: b, proxy: l.lab.Proxy(b), files: filepath.Join(l.d.Host.Project, "k8s")}
	if err := os.MkdirAll(r.files, 0o755); err != nil {
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
		if err := os.WriteFile(filepath.Join(r.files, fmt.Sprintf("c%03d.yaml", i)), []byte(text), 0o600); err != nil {
			r.b.Fatal(err)
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

func (r *rivals) timed(do func() error) (time.Duration, int) {
	r.b.Helper()
	r.proxy.Reset()
	begun := time.Now()
	if err := do(); err != nil {
		r.b.Fatal(err)
	}
	return time.Since(begun), r.proxy.Asked()
}

// BenchmarkLabKube is what applying 200 ConfigMaps takes: those that are not there, those that are as they should be, and
// those of which one is another. The rivals are kubectl with server-side apply, and without where that ends.
func BenchmarkLabKube(b *testing.B) {
	for name, change := range map[string]func(*rivals){
		"first":     nil,
		"unchanged": func(*rivals) {},
		"one":       func(r *rivals) { r.write(1) },
	} {
		b.Run(name, func(b *testing.B) {
			var mine, theirs, old time.Duration
			var asked, askedTheirs, askedOld int
			for b.Loop() {
				r := newRivals(b)
				a, k, c := r.lab.lab.Namespace(b), r.lab.lab.Namespace(b), r.lab.lab.Namespace(b)
				if change != nil {
					r.ours(a)
					r.kubectl(k, "--server-side")
					r.kubectl(c)
					change(r)
				}
				d, n := r.ours(a)
				mine, asked = mine+d, n
				d, n = r.kubectl(k, "--server-side")
				theirs, askedTheirs = theirs+d, n
				d, n = r.kubectl(c)
				old, askedOld = old+d, n
			}
			b.ReportMetric(float64(mine)/float64(theirs), "x-kubectl-ss")
			b.ReportMetric(float64(mine)/float64(old), "x-kubectl")
			b.ReportMetric(float64(mine.Milliseconds())/float64(b.N), "ms")
			b.ReportMetric(float64(theirs.Milliseconds())/float64(b.N), "ms-kubectl-ss")
			b.ReportMetric(float64(old.Milliseconds())/float64(b.N), "ms-kubectl")
			b.ReportMetric(float64(asked), "requests")
			b.ReportMetric(float64(askedTheirs), "requests-kubectl-ss")
			b.ReportMetric(float64(askedOld), "requests-kubectl")
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
