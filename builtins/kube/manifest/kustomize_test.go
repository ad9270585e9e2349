package manifest

import (
	"slices"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/kube/api"
)

var based = map[string]string{
	"base/kustomization.yaml": "resources: [web.yaml]\nconfigMapGenerator:\n- {name: settings, files: [app.conf]}\n",
	"base/app.conf":           "x = 1\n",
	"base/web.yaml":           "# the application\n" + strings.Split(app, "---")[0],
	"blue/kustomization.yaml": "resources: [../base]\nnamePrefix: blue-\nimages: [{name: 'registry.example.com:5000/shop/web', newTag: '1.5'}]\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: replace, path: /spec/replicas, value: 4}\n",
}

// with is files with others over them.
func with(files map[string]string, more map[string]string) map[string]string {
	out := map[string]string{}
	for _, from := range []map[string]string{files, more} {
		for name, text := range from {
			out[name] = text
		}
	}
	return out
}

// What a kustomization makes has its place in the file that it comes from, and what it has versioned keeps its name.
func TestKustomization(t *testing.T) {
	c := shop()
	c.Manifests = []string{"blue"}
	s := loaded(t, c, Overrides{}, based)
	web := s.Find(api.Ref{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "blue-web"})
	if web == nil || web.File != "base/web.yaml" || web.Line != 2 || dig(web.Object.Object, "spec", "replicas") != int64(4) {
		t.Fatalf("%q: %+v", titles(s), web)
	}
	if !slices.Equal(s.Images, []string{"registry.example.com:5000/shop/web:1.5"}) {
		t.Errorf("%q", s.Images)
	}
	settings := s.Find(api.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "blue-settings"})
	if settings == nil || !settings.Versioned || !strings.HasPrefix(settings.GetName(), "blue-settings-") || settings.GetLabels()[LabelName] != "blue-settings" {
		t.Errorf("%+v", settings)
	}
	for _, file := range []string{"blue/kustomization.yaml", "base/kustomization.yaml", "base/web.yaml", "base/app.conf"} {
		if !slices.Contains(s.Files, file) {
			t.Errorf("%s is not among %q", file, s.Files)
		}
	}
}

// A mistake in a base is told where it stands; what would be fetched, or run, is refused before anything of it happens.
func TestKustomizationMistakes(t *testing.T) {
	for name, at := range map[string]struct {
		files map[string]string
		want  string
	}{
		"in a base":  {map[string]string{"base/web.yaml": strings.Replace(based["base/web.yaml"], "selector:", "replica: 3\n  selector:", 1)}, "base/web.yaml:7:3: there is no field replica in spec"},
		"fetched":    {map[string]string{"base/kustomization.yaml": "resources:\n- https://127.0.0.1:1/x.yaml\n"}, "base/kustomization.yaml:2:3: https://127.0.0.1:1/x.yaml is not here, and nothing is fetched; keep a copy of it in the project"},
		"cloned":     {map[string]string{"base/kustomization.yaml": "resources:\n- git@127.0.0.1:x/y\n"}, "base/kustomization.yaml:2:3: git@127.0.0.1:x/y is not here, and nothing is fetched; keep a copy of it in the project"},
		"patch":      {map[string]string{"base/kustomization.yaml": "resources: [web.yaml]\npatches: [{path: 'https://127.0.0.1:1/x.yaml'}]\n"}, "base/kustomization.yaml:2:18: https://127.0.0.1:1/x.yaml is not here, and nothing is fetched; keep a copy of it in the project"},
		"misspelt":   {map[string]string{"base/kustomization.yaml": "resource: [web.yaml]\n"}, "unknown field \"resource\""},
		"twice":      {map[string]string{"base/kustomization.yaml": "resources: [web.yaml]\nresources: [web.yaml]\n"}, "base/kustomization.yaml:2:1: resources is there twice: first on line 1"},
		"round":      {map[string]string{"base/kustomization.yaml": "resources: [../blue]\n"}, "kustomize cannot build it: "},
		"comes back": {map[string]string{"base/kustomization.yaml": "resources: &a [web.yaml, *a]\n"}, "base/kustomization.yaml:"},
		"a program": {map[string]string{"base/kustomization.yaml": "resources: [web.yaml]\ntransformers: [run.yaml]\n",
			"base/run.yaml": "apiVersion: x/v1\nkind: X\nmetadata: {name: x, annotations: {config.kubernetes.io/function: \"exec: {path: ./run.sh}\"}}\n"}, "it names a plugin, and no program runs for it: "},
	} {
		c := shop()
		c.Manifests = []string{"blue"}
		_, err := load(t, c, Overrides{}, with(based, at.files))
		if got := strings.Join(mistakes(t, err), "\n"); !strings.Contains(got, at.want) || strings.Contains(got, "/tmp/") {
			t.Errorf("%s: %s, want %s", name, got, at.want)
		}
	}
}
