package manifest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/runtime/host"
)

// What says so of itself lies among manifests and is no part of what is deployed.
func TestLocalConfig(t *testing.T) {
	h := &host.Host{Files: host.OS{}, Project: t.TempDir()}
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, annotations: {config.kubernetes.io/local-config: \"true\"}}\n"
	if err := os.WriteFile(filepath.Join(h.Project, "a.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := Load(t.Context(), h, cluster.Cluster{Namespace: "shop", Name: "shop", Context: "any", Manifests: []string{"a.yaml"}}, Overrides{})
	if err != nil || len(set.Objects) != 1 || set.Objects[0].GetName() != "a" {
		t.Errorf("%+v, %v", set, err)
	}
}
