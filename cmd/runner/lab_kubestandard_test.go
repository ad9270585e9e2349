//go:build labs

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/scripts"
)

// standardSite is a project that deploys what comes with runner, as it comes: production_k8s and its manifests, by who has
// the rights of k8s/role.yaml and no other. The application is mcpd, which answers the same questions.
type standardSite struct {
	*nodeSite
	versions map[string]string // the image of each
}

// standardVersions are how each version was built.
var standardVersions = map[string]string{"1.0.0": "1.0.0", "1.1.0": "1.1.0", "1.2.0": "crash"}

func newStandardSite(t *testing.T, namespace string) *standardSite {
	t.Helper()
	bins, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	node := kubetest.StartNode(t)
	s := &standardSite{versions: map[string]string{}, nodeSite: &nodeSite{
		site: &site{t: t, dir: t.TempDir(), home: t.TempDir()}, node: node, conn: node.Conn(t), namespace: namespace, service: "erlmcp"}}
	s.more = append(s.more, "KUBECONFIG="+node.Kubeconfig)
	for version, built := range standardVersions {
		s.versions[version] = node.Push(t, bins[built], "erlmcp:"+version, "-listen", ":8080")
	}
	for _, name := range []string{"db-password", "jwt"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte("canary-of-"+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.write(".gitignore", "db-password\njwt\n")
	s.tool("git", "init", "--quiet")
	return s
}

func (s *standardSite) tool(argv ...string) {
	s.t.Helper()
	(&lab{site: s.site}).tool(argv...)
}

// version makes the project another version, committed. What the lab has in place of what is shipped: its cluster, images
// that are there, and no Erlang.
func (s *standardSite) version(version string) []string {
	s.t.Helper()
	text, err := scripts.FS.ReadFile("environments.star")
	if err != nil {
		s.t.Fatal(err)
	}
	out := string(text)
	for _, swap := range [][2]string{
		{`"erlmcp",  # the namespace`, fmt.Sprintf(`%q,  # the namespace`, s.namespace)},
		{`context = "production",`, fmt.Sprintf(`context = %q, as_user = "deployer",`, s.node.Context)},
		{`builds = {"registry.example.com/erlmcp": "docker/Dockerfile.production"},`, fmt.Sprintf(`images = {"registry.example.com/erlmcp": %q},`, s.versions[version])},
		{`rebar3(profile = profile, tests = ["eunit", "ct"])`, `go(".", tests = [])`},
		{`under = "200ms"`, `under = "5s"`}, // the machine may be busy
		{"/etc/erlmcp/db-password", "db-password"},
		{`"/etc/erlmcp/jwt"`, `"jwt"`},
	} {
		if !strings.Contains(out, swap[0]) {
			s.t.Fatalf("environments.star has changed: there is no %s", swap[0])
		}
		out = strings.ReplaceAll(out, swap[0], swap[1])
	}
	s.write("environments.star", out)
	s.write("VERSION", version+"\n")
	s.tool("git", "add", "--all")
	s.tool("git", "commit", "--quiet", "--allow-empty", "--message", version)
	return []string{"deploy.star", "production_k8s", "--output", "plain"}
}

// standardVolume is what an administrator has for logs: a folder that each node can mount.
const standardVolume = `{apiVersion: v1, kind: PersistentVolume, metadata: {name: erlmcp-logs},
spec: {capacity: {storage: 10Gi}, accessModes: [ReadWriteMany], hostPath: {path: %q}}}
`

func (s *standardSite) volume() {
	s.t.Helper()
	dir := filepath.Join(s.node.Dir, "logs")
	err := os.Mkdir(dir, 0o777)
	s.write("volume.yaml", fmt.Sprintf(standardVolume, dir))
	if err := errors.Join(err, os.Chmod(dir, 0o777)); err != nil {
		s.t.Fatal(err)
	}
	s.node.Kubectl(s.t, "apply", "-f", filepath.Join(s.dir, "volume.yaml"))
	os.Remove(filepath.Join(s.dir, "volume.yaml"))
	s.removed(api.Ref{Version: "v1", Kind: "PersistentVolume", Name: "erlmcp-logs"})
}

// removed has an object removed in the end.
func (s *standardSite) removed(ref api.Ref) {
	s.t.Cleanup(func() {
		if err := s.conn.Delete(context.Background(), ref, ""); err != nil {
			s.t.Error(err)
		}
	})
}

// standardKinds are the kinds of what is deployed.
var standardKinds = []schema.GroupVersionKind{
	{Group: "apps", Version: "v1", Kind: "Deployment"}, {Version: "v1", Kind: "Service"}, {Version: "v1", Kind: "ConfigMap"}, {Version: "v1", Kind: "Secret"},
	{Version: "v1", Kind: "ServiceAccount"}, {Version: "v1", Kind: "PersistentVolumeClaim"}, {Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
	{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"}, {Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
}

// state is each object that was deployed, by its kind and name, as far as runner changes it.
func (s *standardSite) state() map[string]string {
	s.t.Helper()
	out := map[string]string{}
	for _, k := range standardKinds {
		all, _, err := s.conn.List(s.t.Context(), k, s.namespace, "")
		if err != nil {
			s.t.Fatal(err)
		}
		for _, o := range all {
			if name := o.GetName(); strings.HasPrefix(name, "runner-") || name == "kube-root-ca.crt" || name == "default" {
				continue
			}
			notes := o.GetAnnotations()
			delete(notes, "deployment.kubernetes.io/revision")
			text, err := json.Marshal([]any{o.GetUID(), notes, o.GetLabels(), o.Object["spec"], o.Object["data"]})
			if err != nil {
				s.t.Fatal(err)
			}
			out[o.GetKind()+"/"+o.GetName()] = string(text)
		}
	}
	return out
}

func (s *standardSite) same(before map[string]string, what string) {
	s.t.Helper()
	after := s.state()
	for name, was := range before {
		if after[name] != was {
			s.t.Errorf("%s: %s was\n%s\nand is\n%s", what, name, was, after[name])
		}
		delete(after, name)
	}
	for name, is := range after {
		s.t.Errorf("%s: there is a new %s\n%s", what, name, is)
	}
	if s.t.Failed() {
		s.t.Fatal(s.out.String())
	}
}

// serves wants a version behind the Service, and the pods of no other.
func (s *standardSite) serves(version string) {
	s.t.Helper()
	if got := s.answers(); got != version {
		s.t.Fatalf("%q answers, want %q\n%s", got, version, s.out.String())
	}
	o, err := s.conn.Get(s.t.Context(), api.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: s.namespace, Name: "erlmcp-tcps"})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, field := range []string{"replicas", "updatedReplicas", "readyReplicas", "availableReplicas"} {
		if n, _, _ := unstructured.NestedInt64(o.Object, "status", field); n != 3 {
			s.t.Errorf("%s: %d %s, want 3\n%s", version, n, field, s.out.String())
		}
	}
}

// confined wants the application's processes to be as the Deployment promises: without rights, on a root that cannot be
// written, with its settings, its secrets to read and a folder for its logs.
func (s *standardSite) confined() {
	s.t.Helper()
	pods, _, err := s.conn.List(s.t.Context(), schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, s.namespace, "app.kubernetes.io/name=erlmcp")
	if err != nil || len(pods) == 0 {
		s.t.Fatalf("%d pods, %v", len(pods), err)
	}
	for _, pid := range s.processes(&pods[0], "-listen") {
		at := fmt.Sprintf("/proc/%d/", pid)
		for file, words := range map[string][]string{
			"status":                              {"\nUid:\t1000\t1000\t", "\nGid:\t1000\t1000\t", "\nCapEff:\t0000000000000000\n", "\nCapBnd:\t0000000000000000\n", "\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n"},
			"environ":                             {"RELX_CONFIG_PATH=/opt/erlmcp/config/production.config\x00", "POD_NAME=" + pods[0].GetName() + "\x00"},
			"mountinfo":                           {" / / ro,", " /var/log/erlmcp rw,", " /run/secrets/erlmcp ro,", " /tmp rw,"},
			"root/run/secrets/erlmcp/DB_PASSWORD": {"canary-of-db-password"},
		} {
			text, err := os.ReadFile(at + file)
			for _, word := range words {
				if !strings.Contains(string(text), word) {
					s.t.Errorf("%s has no %q: %v\n%s", file, word, err, text)
				}
			}
		}
		for file, want := range map[string]uint32{"root/run/secrets/erlmcp/DB_PASSWORD": 4, "root/var/log/erlmcp": 2, "root/tmp": 2} {
			if !may(s.t, at+file, 1000, want) {
				s.t.Errorf("%s: user 1000 may not do %o", file, want)
			}
		}
	}
}

// may reports whether a user whose group has the same number has a right to a file: 4 to read it, 2 to write it.
func may(t testing.TB, file string, id, right uint32) bool {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(file, &st); err != nil {
		t.Fatal(err)
	}
	return st.Mode&right != 0 || st.Gid == id && st.Mode&(right<<3) != 0 || st.Uid == id && st.Mode&(right<<6) != 0
}

// runs runs the program, wants an exit code, and tells how long it took.
func (s *standardSite) runs(code int, args ...string) {
	s.t.Helper()
	began := time.Now()
	s.nodeSite.runs(code, args...)
	s.t.Logf("%5.1fs  exit %d  runner %s", time.Since(began).Seconds(), code, strings.Join(args, " "))
}

// TestLabKubeStandard deploys what comes with runner, whole, to a node that has no ingress controller, no certificates and
// no metrics: a first deployment, one over it, one that fails and is taken back, and one that is gone back from; nobody who
// asks notices. Nothing else runs beside it: a node that is starved tells its proxy too late who has gone.
func TestLabKubeStandard(t *testing.T) {
	s := newStandardSite(t, "erlmcp")
	deploy := s.version("1.0.0")
	s.setUp("production_k8s")
	s.removed(api.Ref{Version: "v1", Kind: "Namespace", Name: s.namespace})
	labels := s.node.Kubectl(t, "get", "namespace", s.namespace, "-o", "jsonpath={.metadata.labels}")
	if !strings.Contains(labels, `"pod-security.kubernetes.io/enforce":"restricted"`) {
		t.Errorf("the namespace has the labels %s", labels)
	}
	s.volume()
	s.runs(0, append([]string{"plan"}, deploy...)...)
	s.runs(0, deploy...)
	s.says("production_k8s serves erlmcp 1.0.0")
	s.serves("1.0.0")
	s.confined()
	first := s.state()
	for _, k := range standardKinds {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(first)), func(name string) bool { return strings.HasPrefix(name, k.Kind+"/") }) {
			t.Errorf("there is no %s", k.Kind)
		}
	}
	s.runs(0, deploy...)
	s.same(first, "what serves is deployed again")
	if strings.Contains(s.out.String(), "kube.apply") {
		t.Errorf("what serves is applied again\n%s", s.out.String())
	}
	s.runs(0, "doctor.star", "production_k8s", "--output", "plain")

	s.under("update", func() { s.runs(0, s.version("1.1.0")...) }, "1.0.0", "1.1.0")
	s.serves("1.1.0")
	before := s.state()
	s.under("update that fails, and its undo", func() { s.runs(10, s.version("1.2.0")...) }, "1.1.0")
	s.says("exits with 3 again and again", "panic: mcpd was told to crash", "every change is taken back")
	s.serves("1.1.0")
	s.same(before, "a version that crashes")

	s.under("rollback", func() { s.runs(0, "rollback.star", "production_k8s", "--yes", "--output", "plain") }, "1.1.0", "1.0.0")
	s.serves("1.0.0")
	s.runs(0, s.version("1.0.0")...)
	s.runs(0, "smoke_tests.star", "production_k8s", "--output", "plain")
	if strings.Contains(s.out.String(), "canary-of") {
		t.Error("a secret is seen")
	}
}

// TestLabKubeStandardWithoutVolume: where nobody gives the volume for logs, the first deployment says so within its minute,
// and leaves the claim alone.
func TestLabKubeStandardWithoutVolume(t *testing.T) {
	t.Parallel()
	s := newStandardSite(t, kubetest.StartNode(t).Namespace(t))
	deploy := s.version("1.0.0")
	s.setUp("production_k8s")
	began := time.Now()
	s.runs(10, deploy...)
	if took := time.Since(began); took > 2*time.Minute {
		t.Errorf("it is told after %s", took)
	}
	s.says("persistentvolumeclaim/erlmcp-logs: is not bound: no persistent volumes available", "hint: name a storageClassName: the cluster has no default", "every change is taken back")
	if left := s.state(); len(left) != 1 || left["PersistentVolumeClaim/erlmcp-logs"] == "" {
		t.Errorf("a first deployment that failed leaves %v\n%s", left, s.out.String())
	}
}
