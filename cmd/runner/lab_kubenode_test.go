//go:build labs

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
)

// nodeSite is a project whose target is a namespace of a real node: mcpd twice, behind a Service.
type nodeSite struct {
	*site
	node      *kubetest.Node
	conn      *api.Conn
	namespace string
	service   string // what leads to the application
}

const nodeEnvironments = `
production = environment(
    app = "mcpd",
    build = go(".", tests = []),
    target = cluster("%[1]s", "mcpd", context = "%[2]s", images = {"mcpd": "%[3]s"}, serves = "deployment/mcpd:8080"),
    health = probe("/health", within = "60s", per_try = "30s"), # the machine may be busy
    smoke = [smoke.http("/health/ready", per_try = "30s"), smoke.jsonrpc("/mcp", method = "initialize", per_try = "30s")],
    keep = 3,
)
`

const nodeManifests = `apiVersion: apps/v1
kind: Deployment
metadata: {name: mcpd}
spec:
  replicas: 2
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: mcpd}}
  template:
    metadata: {labels: {app: mcpd}}
    spec:
      terminationGracePeriodSeconds: 20
      containers:
      - name: mcpd
        image: mcpd
        args: [-listen, ":8080"]
        ports: [{containerPort: 8080}]
        env: [ENV]
        readinessProbe: {httpGet: {path: /health/ready, port: 8080}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 10}}}
        resources: {limits: {memory: 64Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: mcpd}
spec: {selector: {app: mcpd}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: mcpd}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: mcpd}}}
`

// nodeFaults are the ways in which a version fails: what its pods are told, the image it is of where that is another, what
// else its containers have, and more documents.
var nodeFaults = map[string]struct{ env, tag, has, more string }{
	"missing image": {tag: "none"},
	"crash loop":    {env: `{name: MCPD_CRASH_AFTER, value: 300ms}, {name: MCPD_SLOW_START, value: 5s}`},
	"never ready":   {env: `{name: MCPD_HEALTH, value: unhealthy}`},
	"memory":        {env: `{name: MCPD_MEMORY, value: "256"}`},
	"never up": {env: `{name: MCPD_SLOW_START, value: 10m}`,
		has: "        startupProbe: {httpGet: {path: /health/startup, port: 8080}, periodSeconds: 1, failureThreshold: 3}\n"},
	"failed job": {more: `---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: mcpd, args: [-check, "http://127.0.0.1:1/"]}]
`},
}

func newNodeSite(t testing.TB) *nodeSite {
	t.Helper()
	bins, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	node := kubetest.StartNode(t)
	s := &nodeSite{site: &site{t: t, dir: t.TempDir(), home: t.TempDir()}, node: node, conn: node.Conn(t), namespace: node.Namespace(t), service: "mcpd"}
	s.more = append(s.more, "KUBECONFIG="+node.Kubeconfig)
	for _, version := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		node.Push(t, bins[version], "mcpd:"+version)
	}
	if err := os.Mkdir(s.dir+"/k8s", 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// deploy is the stock deploy.star, of a version that fails in a way, or in none.
func (s *nodeSite) deploy(version, fault string) []string {
	s.t.Helper()
	how := nodeFaults[fault]
	tag := version
	if how.tag != "" {
		tag = how.tag
	}
	s.write("VERSION", version+"\n")
	s.write("environments.star", fmt.Sprintf(nodeEnvironments, s.namespace, s.node.Context, s.node.Registry+"/mcpd:"+tag))
	s.write("k8s/app.yaml", strings.NewReplacer("ENV", how.env, "        lifecycle:", how.has+"        lifecycle:").Replace(nodeManifests)+how.more)
	return []string{"deploy.star", "production", "--output", "plain"}
}

func (s *nodeSite) runs(code int, args ...string) {
	s.t.Helper()
	if got := s.process(0, args...); got != code {
		s.t.Fatalf("%v: exit %d, want %d\n%s", args, got, code, s.out.String())
	}
}

// setUp calls the commands that setup prints, as the administrator.
func (s *nodeSite) setUp(args ...string) {
	s.t.Helper()
	bin := s.t.TempDir()
	s.node.Link(s.t, bin)
	setup := s.command(append([]string{"setup"}, args...)...)
	printed, err := setup.Output()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, printed)
	}
	sh := exec.Command("sh", "-e")
	sh.Stdin, sh.Dir, sh.Env = strings.NewReader(string(printed)), s.dir, append(s.env(), "PATH="+bin+":"+os.Getenv("PATH"))
	if said, err := sh.CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s\n%s", err, printed, said)
	}
}

// under has something done while the Service is asked 200 times a second, by a new connection each time: nobody is to
// notice, and the versions are those that answer.
func (s *nodeSite) under(what string, do func(), versions ...string) {
	s.t.Helper()
	stop := s.node.Traffic(s.t, "http://"+s.node.Service(s.t, s.namespace, s.service)+"/version")
	time.Sleep(time.Second)
	do()
	time.Sleep(time.Second)
	got := stop()
	s.t.Logf("%s: %d requests in %s, %.0f a second; %d failed; %v", what, got.Asked, got.Over.Round(time.Millisecond), float64(got.Asked)/got.Over.Seconds(), len(got.Failed), got.Answers)
	if len(got.Failed) > 0 {
		s.t.Errorf("%s: %d requests failed: %q\n%s", what, len(got.Failed), got.Failed[:min(5, len(got.Failed))], s.out.String())
	}
	for _, v := range versions {
		if got.Answers[v] == 0 {
			s.t.Errorf("%s: %s did not answer", what, v)
		}
		delete(got.Answers, v)
	}
	if len(got.Answers) > 0 {
		s.t.Errorf("%s: these answer too: %v", what, got.Answers)
	}
}

// TestLabKubeNodeTells: what is wrong is told on one screen, soon, and taken back. They wait for minutes: all of them are one
// among the tests that run side by side.
func TestLabKubeNodeTells(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	defer all.Wait()
	for fault, c := range map[string]struct {
		appears string        // as the cluster has it
		within  time.Duration // from then on it is told
		says    []string
	}{
		"missing image": {"ErrImagePull", 15 * time.Second, []string{"/mcpd:none, which the registry does not have"}},
		"crash loop":    {"CrashLoopBackOff", 15 * time.Second, []string{"exits with 3 again and again", "panic: mcpd was told to crash"}},
		"never ready":   {"not ready", 3 * time.Minute, []string{"its readiness probe fails: it is answered with 503", "unless it recovers", "mcpd 1.1.0 listens on"}},
		"memory":        {"CrashLoopBackOff", 15 * time.Second, []string{"runs out of memory again and again, of which it may have 64Mi", "OOMKilled"}},
		"never up":      {"not ready", 2 * time.Minute, []string{"is restarted again and again since its startup probe fails: ", "connection refused", "raise failureThreshold of its startupProbe"}},
		"failed job":    {"Error", 15 * time.Second, []string{"job/migrate", "exits with 1", "dial tcp 127.0.0.1:1: connect: connection refused"}},
	} {
		tells := func(t *testing.T) {
			s := newNodeSite(t)
			s.runs(0, s.deploy("1.0.0", "")...)
			stop := s.watch()
			run := s.start(s.deploy("1.1.0", fault)...)
			told := run.told("cannot deploy mcpd")
			states := stop()
			<-run.ended
			if code := run.cmd.ProcessState.ExitCode(); code != 10 {
				t.Errorf("exit %d\n%s", code, run.out)
			}
			for state, at := range states {
				t.Logf("told %s after the first %s", told.Sub(at).Round(10*time.Millisecond), state)
			}
			at, seen := states[c.appears]
			if !seen { // it was told, and taken back, before this looked again
				at = states["ContainerCreating"]
			}
			if told.Sub(at) > c.within {
				t.Errorf("%v; told at %s\n%s", states, told, run.out)
			}
			for _, text := range append(c.says, "every change is taken back") {
				run.says(text)
			}
			_, screen, _ := strings.Cut(run.out.String(), " failed: ")
			screen, _, _ = strings.Cut(screen, " undo: ")
			t.Log(screen)
			if n := strings.Count(screen, "\n"); n < 8 || n > screenful {
				t.Errorf("the screen has %d lines", n)
			}
			for end := time.Now().Add(patience); s.answers() != "1.0.0"; time.Sleep(look) { // until the news of the last pods' end is everywhere
				if time.Now().After(end) {
					t.Fatalf("%q answers", s.answers())
				}
			}
		}
		all.Go(func() { t.Run(fault, tells) })
	}
}

// screenful is how many lines are seen at once.
const screenful = 30

// look is how often a test looks.
const look = 50 * time.Millisecond

// told waits for a text, and tells when it came.
func (l *live) told(text string) time.Time {
	l.t.Helper()
	limit := time.After(5 * time.Minute)
	for {
		got, more := l.out.look()
		if strings.Contains(got, text) {
			return time.Now()
		}
		select {
		case <-more:
		case <-l.ended:
			l.t.Fatalf("ended without %q\n%s", text, l.out)
		case <-limit:
			l.t.Fatalf("no %q\n%s", text, l.out)
		}
	}
}

// watch looks when the cluster has a container first in each state that has a reason, and one that runs and is not ready.
func (s *nodeSite) watch() (stop func() map[string]time.Time) {
	s.t.Helper()
	states, enough, over := map[string]time.Time{}, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			pods, _, err := s.conn.List(context.Background(), schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, s.namespace, "")
			for _, state := range statesOf(pods) {
				if _, known := states[state]; !known && err == nil {
					states[state] = time.Now()
				}
			}
			select {
			case <-enough:
				return
			case <-time.After(look):
			}
		}
	}()
	return func() map[string]time.Time { close(enough); <-over; return states }
}

func statesOf(pods []api.Object) (out []string) {
	for _, pod := range pods {
		all, _, _ := unstructured.NestedSlice(pod.Object, "status", "containerStatuses")
		for _, c := range all {
			c := c.(map[string]any)
			if _, runs, _ := unstructured.NestedMap(c, "state", "running"); runs && c["ready"] == false {
				out = append(out, "not ready")
			}
			for _, how := range []string{"waiting", "terminated"} {
				if reason, is, _ := unstructured.NestedString(c, "state", how, "reason"); is {
					out = append(out, reason)
				}
			}
		}
	}
	return out
}

// answers is the version behind the Service. The first to ask waits until the node has made a way to it.
func (s *nodeSite) answers() string {
	s.t.Helper()
	url := "http://" + s.node.Service(s.t, s.namespace, s.service) + "/version"
	for end := time.Now().Add(patience); ; time.Sleep(look) {
		r, err := s.node.Client().Get(url)
		if err == nil {
			defer r.Body.Close()
			b, _ := io.ReadAll(r.Body)
			return strings.TrimSpace(string(b))
		}
		if time.Now().After(end) {
			return err.Error()
		}
	}
}
