//go:build labs

package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
)

// TestLabKubePage does what the page for users of Kubernetes says: as the administrator who gives the rights, then as one
// of the group that got them, and no other. Simulated pods answer nothing, so they are not asked.
func TestLabKubePage(t *testing.T) {
	lab := kubetest.Start(t)
	bin, config := t.TempDir(), filepath.Join(t.TempDir(), "kubeconfig")
	text, err := os.ReadFile(lab.Kubeconfig)
	if err == nil {
		err = os.WriteFile(config, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	lab.Link(t, bin)
	lab.Kubectl(t, "config", "rename-context", lab.Context, "production", "--kubeconfig", config)
	path := bin + ":" + os.Getenv("PATH")
	pageIn(t, "builtins/kube/README.md", 26, t.TempDir(), []string{"KUBECONFIG=" + config, "PATH=" + path},
		`        serves = "deployment/web:8080",`, `        as_user = "ana", as_groups = ["deployers"],`,
		"    health = probe(\"/health\", within = \"60s\"),\n", "", "    smoke = [smoke.http(\"/health/ready\")],\n", "")
	if left := lab.Kubectl(t, "get", "secrets", "-n", "shop", "-o", "name"); strings.Contains(left, "runner-") {
		t.Errorf("records lie in the namespace of the application:\n%s", left)
	}
}

// TestLabKubePushes: the image is built, pushed to the repository that the target names, and applied by the digest that the
// registry has it under; what serves already is built again and changes nothing.
func TestLabKubePushes(t *testing.T) {
	t.Parallel()
	world := dockertest.New(t)
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	repository := strings.TrimPrefix(server.URL, "http://") + "/" + world.Name
	s := newKubeSite(t)
	s.deploy("1.0.0") // for its manifests
	s.write("environments.star", fmt.Sprintf(`
production = environment(
    app = "shop",
    build = make(output = "VERSION", tests = []),
    target = cluster(%q, "shop", context = %q, images = {"app": %q}, builds = {"app": "Dockerfile"}),
    secrets = {"TOKEN": secret.env("TOKEN")},
)
`, s.namespace, s.lab.Context, repository))
	s.write("Dockerfile", "FROM scratch\nLABEL "+dockertest.Label+"="+world.Name+"\nARG VERSION\nLABEL version=${VERSION}\nCOPY VERSION /VERSION\n")
	for _, version := range []string{"1.0.0", "1.1.0"} {
		s.write("VERSION", version+"\n")
		s.runs(0, "deploy.star", "production", "--output", "plain")
		s.says("production serves shop " + version)
		image, digest, _ := strings.Cut(s.serves(), "@")
		if image != repository+":"+version {
			t.Fatalf("%q serves, want %s:%s", s.serves(), repository, version)
		}
		found, err := http.Head(server.URL + "/v2/" + world.Name + "/manifests/" + digest)
		if err != nil || found.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v %v", digest, found, err)
		}
		before := s.state()
		s.runs(0, "deploy.star", "production", "--output", "plain")
		s.same(before, "the same version again")
	}
	s.runs(0, "rollback.star", "production", "1.0.0")
	s.says("production serves shop 1.0.0")
	s.write("environments.star", strings.Replace(s.read("environments.star"), `builds = {"app"`, `builds = {"ap"`, 1))
	s.runs(1, "deploy.star", "production", "--output", "plain")
	s.says("builds: no container has the image ap (did you mean app?)")
}
