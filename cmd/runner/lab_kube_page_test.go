//go:build labs

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	pageIn(t, "builtins/kube/README.md", 25, t.TempDir(), []string{"KUBECONFIG=" + config, "PATH=" + path},
		`        serves = "deployment/web:8080",`, `        as_user = "ana", as_groups = ["deployers"],`,
		"    health = probe(\"/health\", within = \"60s\"),\n", "", "    smoke = [smoke.http(\"/health/ready\")],\n", "")
	if left := lab.Kubectl(t, "get", "secrets", "-n", "shop", "-o", "name"); strings.Contains(left, "runner-") {
		t.Errorf("records lie in the namespace of the application:\n%s", left)
	}
}
