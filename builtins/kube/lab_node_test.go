//go:build labs

package kube

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/connect"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

const printer = `package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		for i := range 300 {
			fmt.Println("line", i)
			time.Sleep(10 * time.Millisecond)
		}
		fmt.Fprint(os.Stderr, "and the last")
		os.Exit(len(os.Args) - 2)
	}
	http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _ := os.Hostname()
		if r.URL.Path != "/" {
			w.WriteHeader(404)
		}
		fmt.Fprintln(w, name)
	}))
}
`

// TestLabNodeJob: on a real node each line that a Job prints is shown once, though its streams break, and its exit code is
// the Job's; the new pods of a workload answer in turn.
func TestLabNodeJob(t *testing.T) {
	n := kubetest.StartNode(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "app")
	if err := os.WriteFile(program+".go", []byte(printer), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", program, program+".go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // its image has no libc
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	image := n.Push(t, program, "printer:1")
	p := n.Proxy(t)
	h := &host.Host{Files: host.OS{}, Clock: host.SystemClock{}, Project: dir, Scratch: filepath.Join(dir, "scratch"), Env: os.Environ(), Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}}}
	l := &liveLab{t: t, d: &Kubernetes{Pool: connect.NewPool(h), Host: h}}
	l.target = cluster.Cluster{Namespace: n.Namespace(t), Name: "shop", Kubeconfig: p.Kubeconfig, Context: p.Context}
	var want []string
	for i := range 300 {
		want = append(want, fmt.Sprint("line ", i))
	}
	want = append(want, "and the last")
	for code, fails := range []bool{false, true} {
		l.said = nil
		cutting := time.AfterFunc(2500*time.Millisecond, p.CutStreams)
		job := RunJob{Cluster: l.target, Name: "printer", Image: image, Command: append([]string{"/app", "job"}, make([]string, code)...), Within: op.Duration(time.Minute), OK: []int{0}, Key: op.Key(fmt.Sprint("run/", code))}
		ran, err := job.Do(l.ctx(), l.d)
		cutting.Stop()
		if (err != nil) != fails || ran.Code != code || !slices.Equal(strings.Split(strings.TrimSpace(ran.Stdout), "\n"), want) {
			t.Errorf("code %d: %d lines, code %d, %v", code, strings.Count(ran.Stdout, "\n"), ran.Code, err)
		}
		if fails && (!strings.Contains(err.Error(), "container printer exits with 1") || !strings.HasSuffix(err.Error(), "and the last")) {
			t.Error(err)
		}
	}
	l.Lab = &kubetest.Lab{Cluster: n.Cluster}
	l.manifest(fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 2\n  selector: {matchLabels: {app: web}}\n  template: {metadata: {labels: {app: web}}, spec: {terminationGracePeriodSeconds: 1, containers: [{name: web, image: %q, readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}}]}}\n", image))
	if _, err := (Wait{Cluster: l.target, Within: op.Duration(time.Minute)}).Do(l.ctx(), l.d); err != nil {
		t.Fatal(err)
	}
	ask := HTTP{Cluster: l.target, To: "deployment/web:8080", Path: "/", Status: 200, Count: 6, Timeout: op.Duration(5 * time.Second)}
	if out, err := ask.Do(l.ctx(), l.d); err != nil || out.Requests != 6 || out.Failed != 0 || len(out.Statuses) != 6 || out.Latency <= 0 {
		t.Errorf("%+v, %v", out, err)
	}
	ask.Path = "/missing"
	if out, err := ask.Do(l.ctx(), l.d); err == nil || !strings.Contains(err.Error(), "answer 1 of 6: want status 200, got 404: web-") || out.Requests != 1 {
		t.Errorf("%+v, %v", out, err)
	}
}
