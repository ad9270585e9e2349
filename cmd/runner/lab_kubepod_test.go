//go:build labs

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
)

// podSite is a real node on which runner runs as a Job in a state namespace, as the page for users of Kubernetes says,
// from an image of nothing but the program.
type podSite struct {
	*nodeSite
	state string // the namespace of the Jobs, and of the records
	tool  string // the image of runner
	job   string // as the page has it
	jobs  int
}

const podEnvironments = `
production = environment(
    app = "shop",
    target = cluster("%[1]s", "shop", in_cluster = True, state_namespace = "%[2]s", images = {"shop": "%[3]s"}, serves = "deployment/shop:8080"),
    health = probe("/health", within = "60s", per_try = "30s"),
    smoke = [smoke.http("/health/ready", per_try = "30s")],
)
`

const podManifests = `apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: shop
        image: shop
        envFrom: [{configMapRef: {name: shop}}]
        startupProbe: {httpGet: {path: /health/startup, port: 8080}, periodSeconds: 1, failureThreshold: 300}
        readinessProbe: {httpGet: {path: /health/ready, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data: {MCPD_SLOW_START: %q}
`

func newPodSite(t *testing.T) *podSite {
	t.Helper()
	bins, err := binaries()
	program, missing := shipped()
	page, unread := os.ReadFile(filepath.Join("..", "..", "builtins", "kube", "README.md"))
	if err := errors.Join(err, missing, unread); err != nil {
		t.Fatal(err)
	}
	node := kubetest.StartNode(t)
	s := &podSite{state: node.Namespace(t), tool: node.Push(t, program, "runner:lab"), nodeSite: &nodeSite{
		site: &site{t: t, dir: t.TempDir(), home: t.TempDir()}, node: node, conn: node.Conn(t), namespace: node.Namespace(t)}}
	s.more = append(s.more, "KUBECONFIG="+node.Kubeconfig)
	for _, version := range []string{"1.0.0", "1.1.0"} {
		node.Push(t, bins[version], "shop:"+version, "-listen", ":8080")
	}
	for _, m := range block.FindAllStringSubmatch(string(page), -1) {
		if strings.HasPrefix(m[2], "# job.yaml\n") {
			s.job = m[2]
		}
	}
	return s
}

// version makes the project another version, whose pods start slowly where that is said.
func (s *podSite) version(version, slow string) {
	s.t.Helper()
	s.write("environments.star", fmt.Sprintf(podEnvironments, s.namespace, s.state, s.node.Registry+"/shop:"+version))
	s.write("shop.yaml", fmt.Sprintf(podManifests, slow))
	if s.jobs > 0 {
		s.node.Kubectl(s.t, "delete", "configmap", "shop", "-n", s.state)
	}
	s.node.Kubectl(s.t, "create", "configmap", "shop", "-n", s.state, "--from-file", filepath.Join(s.dir, "environments.star"), "--from-file", filepath.Join(s.dir, "shop.yaml"))
}

// begin starts a Job that deploys, and gives its pod.
func (s *podSite) begin() (pod api.Ref) {
	s.t.Helper()
	s.jobs++
	job := fmt.Sprint("deploy-", s.jobs)
	text := s.job
	for _, swap := range [][2]string{{"name: deploy", "name: " + job}, {"namespace: shop-runner", "namespace: " + s.state}, {"registry.example.com/runner:1.0.0", s.tool}} {
		if !strings.Contains(text, swap[0]) {
			s.t.Fatalf("the page has no Job with %s:\n%s", swap[0], text)
		}
		text = strings.ReplaceAll(text, swap[0], swap[1])
	}
	s.write("job.yaml", text)
	s.node.Kubectl(s.t, "apply", "-f", filepath.Join(s.dir, "job.yaml"))
	for end := time.Now().Add(patience); ; time.Sleep(look) {
		pods, _, err := s.conn.List(s.t.Context(), schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, s.state, "job-name="+job)
		if err == nil && len(pods) > 0 {
			return api.RefOf(&pods[0])
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s has no pod: %v", job, err)
		}
	}
}

// until waits until a pod is as something wants it.
func (s *podSite) until(pod api.Ref, seen func(*api.Object) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer cancel()
	if err := s.conn.Until(ctx, pod, seen); err != nil {
		s.t.Fatalf("%v\n%s", err, s.said(pod))
	}
}

// said is what a pod has written.
func (s *podSite) said(pod api.Ref) string {
	s.t.Helper()
	return s.node.Kubectl(s.t, "logs", "-n", s.state, pod.Name)
}

// runs has a Job deploy, wants an exit code and words, and gives what was written.
func (s *podSite) runs(code int64, words ...string) string {
	s.t.Helper()
	pod, got := s.begin(), int64(-1)
	s.until(pod, func(o *api.Object) bool {
		if o == nil {
			return false
		}
		all, _, _ := unstructured.NestedSlice(o.Object, "status", "containerStatuses")
		ended := false
		for _, c := range all {
			got, ended, _ = unstructured.NestedInt64(c.(map[string]any), "state", "terminated", "exitCode")
		}
		return ended
	})
	said := s.said(pod)
	for _, word := range words {
		if got != code || !strings.Contains(said, word) {
			s.t.Fatalf("exit %d, want %d and %q\n%s", got, code, word, said)
		}
	}
	return said
}

// waits waits until what deploys in a pod waits for the application.
func (s *podSite) waits(pod api.Ref) {
	s.t.Helper()
	s.until(pod, func(o *api.Object) bool {
		phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
		return phase == "Running"
	})
	for end := time.Now().Add(patience); !strings.Contains(s.said(pod), " to be live, until "); time.Sleep(look) {
		if time.Now().After(end) {
			s.t.Fatal(s.said(pod))
		}
	}
}

// processes are those of a pod whose command line has a word.
func (s *nodeSite) processes(pod *api.Object, word string) (pids []int) {
	s.t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, file := range all {
		groups, _ := os.ReadFile(file)
		argv, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if strings.Contains(string(groups), string(pod.GetUID())) && strings.Contains(string(argv), word) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			pids = append(pids, pid)
		}
	}
	if len(pids) == 0 {
		s.t.Fatalf("pod %s has no process with %s", pod.GetName(), word)
	}
	return pids
}

// kill ends what deploys in a pod, as a node does that runs out of memory.
func (s *podSite) kill(pod api.Ref) {
	s.t.Helper()
	o, err := s.conn.Get(s.t.Context(), pod)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, pid := range s.processes(o, "deploy.star") {
		err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.until(pod, func(o *api.Object) bool {
		phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
		return phase == "Failed"
	})
}

// deployed is what is in the application's namespace, by what was changed last.
func (s *podSite) deployed() string {
	s.t.Helper()
	return s.node.Kubectl(s.t, "get", "deployments,configmaps,secrets,leases", "-n", s.namespace, "-o",
		`jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.generation} {.spec.template.spec.containers[0].image}{"\n"}{end}`)
}

// TestLabKubeInPod: runner in a pod deploys as the pod's service account, with the rights that setup prints, and finds again
// what it has deployed; without them it names each right that is missing, and changes nothing. Told to stop it takes
// back what it has changed; killed, it leaves that to the next one.
func TestLabKubeInPod(t *testing.T) {
	t.Parallel()
	s := newPodSite(t)
	s.version("1.0.0", "")
	none := s.deployed()
	s.runs(1, "these credentials may not ", "create, delete, get, list, patch, update and watch secrets", "create, get, list, update and watch leases.coordination.k8s.io",
		"create, delete, get, list, patch, update and watch deployments.apps", "create, delete, get, list, patch, update and watch configmaps", "list and watch replicasets.apps",
		"delete, get, list and watch pods,", "get pods/log", "create and get pods/portforward", "list and watch events", " in "+s.namespace, " in "+s.state,
		"nothing is changed", "runner setup ENVIRONMENT prints the commands")
	if left := s.deployed(); left != none {
		t.Errorf("there was\n%s\nand is\n%s", none, left)
	}

	s.setUp("production", "--group", "system:serviceaccounts:"+s.state)
	s.runs(0, "production serves shop")
	first := s.deployed()
	if said := s.runs(0, "nothing is changed"); strings.Contains(said, "kube.apply") || s.deployed() != first {
		t.Errorf("what serves is applied again:\n%s\n%s", s.deployed(), said)
	}

	s.version("1.1.0", "5m")
	pod := s.begin()
	s.waits(pod)
	s.node.Kubectl(t, "delete", "job", fmt.Sprint("deploy-", s.jobs), "-n", s.state, "--cascade=foreground")
	if got := s.deployed(); !strings.Contains(got, "shop:1.0.0\n") || strings.Contains(got, "shop:1.1.0\n") {
		t.Errorf("it was told to stop, and there is\n%s", got)
	}
	pod = s.begin()
	s.waits(pod)
	if said := s.said(pod); strings.Contains(said, "recover ") {
		t.Errorf("who was told to stop has left something:\n%s", said)
	}
	s.kill(pod)
	s.version("1.1.0", "")
	s.runs(0, "recover ", "production serves shop")
	if got := s.deployed(); !strings.Contains(got, "shop:1.1.0\n") {
		t.Errorf("there is\n%s", got)
	}
}
