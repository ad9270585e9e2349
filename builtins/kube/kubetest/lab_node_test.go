//go:build labs

package kubetest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"sigs.k8s.io/yaml"
)

// mcpd is the application that tests deploy, of a version.
func mcpd(t *testing.T, version string) string {
	t.Helper()
	n := StartNode(t)
	program := filepath.Join(t.TempDir(), "mcpd")
	if err := n.do(filepath.Join(n.source, "..", "apps", "mcpd"), []string{"CGO_ENABLED=0"}, "go", "build", "-ldflags", "-X main.version="+version, "-o", program, "."); err != nil {
		t.Fatal(err)
	}
	return program
}

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: %s
        args: [-listen, ":8080"]
        readinessProbe: {httpGet: {path: /health/ready, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`

// apply brings objects about.
func apply(t *testing.T, c *api.Conn, namespace, text string) {
	t.Helper()
	for _, part := range strings.Split(text, "\n---\n") {
		o := &api.Object{}
		if err := yaml.Unmarshal([]byte(part), &o.Object); err != nil {
			t.Fatal(err)
		}
		o.SetNamespace(namespace)
		if _, err := c.Apply(t.Context(), o, api.Applying{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLabNodeServes(t *testing.T) {
	begun := time.Now()
	n := StartNode(t)
	t.Logf("ready in %s", time.Since(begun).Round(time.Millisecond))
	c, ns := n.Conn(t), n.Namespace(t)
	apply(t, c, ns, fmt.Sprintf(web, n.Push(t, mcpd(t, "1.2.0"), "web:v1")))
	url := "http://" + n.Service(t, ns, "web") + "/version"
	var said string
	until(t, "the Service answers", func() bool {
		r, err := n.Client().Get(url)
		if err != nil {
			return false
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		said = string(b)
		return r.StatusCode == 200
	})
	if said != "1.2.0\n" {
		t.Errorf("it answers %q", said)
	}
	if s := n.Kubectl(t, "logs", "-n", ns, "deploy/web"); !strings.Contains(s, "mcpd 1.2.0 listens") {
		t.Errorf("its log: %s", s)
	}
	if s := n.Kubectl(t, "exec", "-n", ns, "deploy/web", "--", "/app", "-check", "http://127.0.0.1:8080/version"); s != "1.2.0\n" {
		t.Errorf("a command in it says %q", s)
	}
	n.Kubectl(t, "rollout", "status", "-n", ns, "deploy/web", "--timeout=60s")
	traffic := n.Traffic(t, url)
	time.Sleep(time.Second)
	if got := traffic(); len(got.Failed) > 0 || got.Answers["1.2.0"] != got.Asked || got.Asked < 150 {
		t.Errorf("traffic: %+v", got)
	}
}

func TestLabNodePullsForTrue(t *testing.T) {
	n := StartNode(t)
	ns := n.Namespace(t)
	apply(t, n.Conn(t), ns, fmt.Sprintf(web, n.Registry+"/web:missing"))
	until(t, "the image is missed", func() bool { return strings.Contains(n.Kubectl(t, "get", "pods", "-n", ns), "ErrImagePull") })
	until(t, "an event says why", func() bool {
		return strings.Contains(n.Kubectl(t, "get", "events", "-n", ns), "/web:missing: not found")
	})
}

// What a node has ends with its process, whatever ends that.
func TestLabNodeLeavesNothing(t *testing.T) {
	if told := os.Getenv("KUBETEST_DIES"); told != "" {
		n := StartNode(t)
		apply(t, n.Conn(t), n.Namespace(t), fmt.Sprintf(web, n.Push(t, mcpd(t, "1.2.0"), "web:v1")))
		until(t, "pods", func() bool {
			return strings.Count(n.Kubectl(t, "get", "pods", "-A"), "Running") == 2
		})
		os.WriteFile(told, []byte(n.Dir), 0o600)
		select {}
	}
	dir := killed(t, "TestLabNodeLeavesNothing")
	name := filepath.Base(dir)
	traces := func() (out []string) {
		if _, err := os.Stat(dir); err == nil {
			out = append(out, dir)
		}
		cgroups, _ := filepath.Glob("/sys/fs/cgroup/*/" + name)
		out = append(out, cgroups...)
		mounts, _ := filepath.Glob("/proc/[0-9]*/mountinfo")
		for _, file := range mounts {
			if b, _ := os.ReadFile(file); strings.Contains(string(b), dir) {
				out = append(out, file)
			}
		}
		return append(out, running(dir)...)
	}
	until(t, "nothing is left", func() bool { return len(traces()) == 0 })
}

// What a node left because nobody was there to remove it is removed before the next starts; those that run are let be.
func TestLabNodeSweeps(t *testing.T) {
	n := StartNode(t)
	const name = "runner-node-4194305" // no process has that number
	left := []string{filepath.Join(os.TempDir(), name), filepath.Join("/sys/fs/cgroup/pids", name)}
	for _, dir := range left {
		if err := os.MkdirAll(filepath.Join(dir, "kubepods"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.do("/", nil, "sh", filepath.Join(n.source, "node", "down.sh")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range left {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is left", dir)
		}
	}
	if s := n.Kubectl(t, "get", "--raw", "/readyz"); s != "ok" {
		t.Errorf("the node that runs says %q", s)
	}
}
