package kube

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/connect"
	"github.com/erlmcp/runner/builtins/kube/manifest"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/optest"
	"github.com/erlmcp/runner/runtime/secret"
)

func TestOps(t *testing.T) {
	target := cluster.Cluster{Namespace: "shop", Name: "shop", Context: "lab"}
	family := func(h *host.Host) builtin.Family { return Family(h, connect.NewPool(h)) }
	optest.Run(t, optest.Suite{Family: family, Elsewhere: "the labs: TestLabOps", Worlds: optest.Worlds{
		"manifests": func(t testing.TB) optest.World {
			objects := []manifest.Given{manifest.Secret{Name: "db", Data: map[string]secret.Text{"password": secret.Plain("hunter2-hunter2")}}}
			return world(t, Manifests{Cluster: target, Images: map[string]string{"web": ":2"}, Objects: objects})
		},
		"check": func(t testing.TB) optest.World { return world(t, Check{Cluster: target}) },
	}})
}

// world is a project that has manifests, one of them a kustomization's.
func world(t testing.TB, params any) optest.World {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"k8s/kustomization.yaml": "resources: [web.yaml]\nnamePrefix: blue-\n",
		"k8s/web.yaml":           "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: web, image: 'web:1'}]}}",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h := &host.Host{Files: host.OS{}, Clock: hosttest.NewClock(time.Unix(0, 0)), Project: dir, Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}}}
	return optest.World{Host: h, Params: params, Snapshot: func() (text string) {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			data, _ := os.ReadFile(path) // a folder has none
			text += path + " " + string(data) + "\n"
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}}
}
