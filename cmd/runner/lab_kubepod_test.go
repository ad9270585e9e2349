//go:build labs

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/builtins/kube/rights"
	"github.com/erlmcp/runner/scripts"
)

// podSite is a namespace of a real node in which runner runs as a pod, from an image of nothing but the program, with a
// project out of a ConfigMap.
type podSite struct {
	t               *testing.T
	node            *kubetest.Node
	conn            *api.Conn
	namespace, tool string
}

const podProject = `apiVersion: v1
kind: ConfigMap
metadata: {name: project}
data:
  environments.star: |
    production = environment(
        app = "shop",
        target = cluster("%[1]s", "shop", in_cluster = True, images = {"shop": "%[2]s"}, serves = "deployment/shop:8080"),
        health = probe("/health", within = "60s", per_try = "30s"),
        smoke = [smoke.http("/health/ready", per_try = "30s")],
    )
---
apiVersion: v1
kind: ConfigMap
metadata: {name: manifests}
data:
  shop.yaml: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: shop}
    spec:
      replicas: 1
      selector: {matchLabels: {app: shop}}
      template:
        metadata: {labels: {app: shop}}
        spec:
          containers:
          - name: shop
            image: shop
            envFrom: [{configMapRef: {name: shop}}]
            readinessProbe: {httpGet: {path: /health/ready, port: 8080}, periodSeconds: 1}
            lifecycle: {preStop: {sleep: {seconds: 1}}}
    ---
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: shop}
    data: {GREETING: hello}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: poor}
`

const podRunner = `apiVersion: v1
kind: Pod
metadata: {name: %[1]s}
spec:
  restartPolicy: Never
  serviceAccountName: %[2]s
  containers:
  - name: runner
    image: %[3]s
    args: [deploy.star, production, --output, plain]
    workingDir: /work
    volumeMounts:
    - {name: work, mountPath: /work}
    - {name: project, mountPath: /work/environments.star, subPath: environments.star}
    - {name: manifests, mountPath: /work/k8s}
  volumes:
  - {name: work, emptyDir: {}}
  - {name: project, configMap: {name: project}}
  - {name: manifests, configMap: {name: manifests}}
`

func newPodSite(t *testing.T) *podSite {
	t.Helper()
	bins, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	program, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	node := kubetest.StartNode(t)
	s := &podSite{t: t, node: node, conn: node.Conn(t), namespace: node.Namespace(t), tool: node.Push(t, program, "runner:lab")}
	s.apply(fmt.Sprintf(podProject, s.namespace, node.Push(t, bins["1.0.0"], "shop:1.0.0", "-listen", ":8080")))
	return s
}

// apply brings objects about, as the administrator.
func (s *podSite) apply(text string) {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "objects.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.node.Kubectl(s.t, "apply", "-n", s.namespace, "-f", file)
}

// allow gives a service account the rights of k8s/role.yaml.
func (s *podSite) allow(account string) {
	s.t.Helper()
	text, err := scripts.FS.ReadFile("k8s/role.yaml")
	if err != nil {
		s.t.Fatal(err)
	}
	s.apply(string(text))
	roles, err := rights.Roles(text)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range roles {
		s.apply(r.Binding(s.namespace, "User", "system:serviceaccount:"+s.namespace+":"+account))
	}
}

// runs has a pod deploy as a service account, and gives what it wrote and its exit code.
func (s *podSite) runs(name, account string) (code int64, said string) {
	s.t.Helper()
	s.apply(fmt.Sprintf(podRunner, name, account, s.tool))
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer cancel()
	ref, ended := api.Ref{Version: "v1", Kind: "Pod", Namespace: s.namespace, Name: name}, false
	err := s.conn.Until(ctx, ref, func(o *api.Object) bool {
		if o == nil {
			return false
		}
		all, _, _ := unstructured.NestedSlice(o.Object, "status", "containerStatuses")
		for _, c := range all {
			code, ended, _ = unstructured.NestedInt64(c.(map[string]any), "state", "terminated", "exitCode")
		}
		return ended
	})
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.node.Kubectl(s.t, "describe", "pod", "-n", s.namespace, name))
	}
	return code, s.node.Kubectl(s.t, "logs", "-n", s.namespace, name)
}

// objects are those of the namespace, with what is in them, but for what a cluster and this test have there.
func (s *podSite) objects() string {
	s.t.Helper()
	return s.node.Kubectl(s.t, "get", "deployments,configmaps,secrets,leases,services", "-n", s.namespace, "-o", "jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{\"\\n\"}{end}")
}

// TestLabKubeInPod: runner in a pod deploys as the pod's service account with the rights of k8s/role.yaml, and finds again
// what it has deployed; without them it names each right that is missing, and changes nothing.
func TestLabKubeInPod(t *testing.T) {
	t.Parallel()
	s := newPodSite(t)
	before := s.objects()
	code, said := s.runs("poor", "poor")
	for _, want := range []string{"these credentials may not ", "create, delete, get, list, patch, update and watch secrets", "create, get, list, update and watch leases.coordination.k8s.io",
		"create, delete, get, list, patch, update and watch deployments.apps", "create, delete, get, list, patch, update and watch configmaps", "list and watch replicasets.apps",
		"delete, get, list and watch pods,", "get pods/log", "create and get pods/portforward", "list and watch events", " in " + s.namespace,
		"nothing is changed", "runner setup ENVIRONMENT prints the commands"} {
		if code != 1 || !strings.Contains(said, want) {
			t.Errorf("exit %d, without %q\n%s", code, want, said)
		}
	}
	if after := s.objects(); after != before {
		t.Errorf("there was\n%s\nand is\n%s", before, after)
	}

	s.allow("deployer")
	if code, said = s.runs("first", "deployer"); code != 0 || !strings.Contains(said, "production serves shop") {
		t.Fatalf("exit %d\n%s", code, said)
	}
	if ready := s.node.Kubectl(t, "get", "deployment", "shop", "-n", s.namespace, "-o", "jsonpath={.status.readyReplicas}"); ready != "1" {
		t.Errorf("%s pods are ready", ready)
	}
	deployed := s.node.Kubectl(t, "get", "deployments,configmaps", "-n", s.namespace, "-o", "jsonpath={.items[*].metadata.resourceVersion}")
	if code, said = s.runs("second", "deployer"); code != 0 || strings.Contains(said, "kube.apply") {
		t.Errorf("exit %d\n%s", code, said)
	}
	if now := s.node.Kubectl(t, "get", "deployments,configmaps", "-n", s.namespace, "-o", "jsonpath={.items[*].metadata.resourceVersion}"); now != deployed {
		t.Errorf("what serves is changed: %s, was %s", now, deployed)
	}
}
