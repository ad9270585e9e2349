package manifest

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/secret"
)

func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func hostAt(dir string) *host.Host {
	return &host.Host{Files: host.OS{}, Project: dir, Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}, Getenv: func(string) (string, bool) { return "hunter2-hunter2", true }}}
}

func shop() cluster.Cluster { return cluster.Cluster{Namespace: "shop", Name: "shop", Context: "lab"} }

func load(t testing.TB, c cluster.Cluster, extra Overrides, files map[string]string) (*Set, error) {
	t.Helper()
	return Load(t.Context(), hostAt(write(t, files)), c, extra)
}

func loaded(t testing.TB, c cluster.Cluster, extra Overrides, files map[string]string) *Set {
	t.Helper()
	s, err := load(t, c, extra, files)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// mistakes are the lines of what is wrong with a set.
func mistakes(t testing.TB, err error) []string {
	t.Helper()
	var wrong *Invalid
	if err == nil {
		return nil
	}
	if !errors.As(err, &wrong) {
		t.Fatal(err)
	}
	return wrong.Lines()
}

func titles(s *Set) (out []string) {
	for _, o := range s.Objects {
		out = append(out, string(rune('0'+o.Stage))+" "+o.GetNamespace()+" "+o.GetKind()+"/"+o.Plain())
	}
	return out
}

const app = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.example.com:5000/shop/web:1.3
        envFrom: [{configMapRef: {name: web}}]
        env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {colour: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: hunter2-hunter2}
---
kind: List
apiVersion: v1
items:
- {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}
- {apiVersion: batch/v1, kind: Job, metadata: {name: migrate}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: m, image: shop/web}]}}}}
`

const rest = `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}`

// Objects come in stages: what others need to be there, then the rest, in an order that the files have no part in.
func TestStages(t *testing.T) {
	s := loaded(t, shop(), Overrides{}, map[string]string{"k8s/a.yaml": app, "k8s/z.json": rest, "k8s/note.txt": "none", "k8s/sub/b.yaml": "not: read"})
	want := []string{"0  Namespace/shop", "1 shop Secret/db", "1 shop ConfigMap/web", "1 shop Service/web", "1 shop Deployment/web", "1 shop Job/migrate"}
	if got := titles(s); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if want := []string{"k8s/a.yaml", "k8s/z.json"}; !slices.Equal(s.Files, want) {
		t.Errorf("files %q", s.Files)
	}
	web := s.Find(api.Ref{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"})
	if web == nil || web.File != "k8s/a.yaml" || web.Line != 1 || !web.Workload() {
		t.Errorf("%+v", web)
	}
	if job := s.Find(api.Ref{Group: "batch", Kind: "Job", Namespace: "shop", Name: "migrate"}); job == nil || job.Line != 30 {
		t.Errorf("%+v", job)
	}
	if got := len(s.Kinds()); got != 6 {
		t.Errorf("%d kinds", got)
	}
}

// An annotation says what comes before an object; a chain that comes round is named.
func TestAfter(t *testing.T) {
	after := func(name, annotation string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", annotations: {runner.erlmcp.org/after: '" + annotation + "'}}\nspec: {ports: [{port: 80}]}\n"
	}
	s := loaded(t, shop(), Overrides{}, map[string]string{"k8s/a.yaml": after("a", "service/b, Service/c"), "k8s/b.yaml": after("b", "Service/c"), "k8s/c.yaml": after("c", "")})
	if want := []string{"1 shop Service/c", "2 shop Service/b", "3 shop Service/a"}; !slices.Equal(titles(s), want) {
		t.Errorf("%q", titles(s))
	}
	_, err := load(t, shop(), Overrides{}, map[string]string{"k8s/a.yaml": after("a", "Service/b"), "k8s/b.yaml": after("b", "Service/c"), "k8s/c.yaml": after("c", "Service/a Servise/b d")})
	want := []string{
		"k8s/a.yaml:3:35: objects wait for one another: Service/a -> Service/b -> Service/c -> Service/a; take out one runner.erlmcp.org/after of the chain",
		`k8s/c.yaml:3:35: runner.erlmcp.org/after: the set has no Servise/b (did you mean Service/b?)`,
		`k8s/c.yaml:3:35: runner.erlmcp.org/after: want objects of the set such as Job/migrate, got "d"`,
	}
	if got := mistakes(t, err); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func podSpec(t testing.TB, s *Set) string {
	t.Helper()
	i := slices.IndexFunc(s.Objects, func(o Object) bool { return o.GetKind() == "Deployment" })
	b, err := json.Marshal(podOf(&s.Objects[i]).value)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What a pod reads has a name by its content, in the pod too; the plain one stays as a label.
func TestVersioned(t *testing.T) {
	files := map[string]string{"k8s/a.yaml": app}
	s := loaded(t, shop(), Overrides{}, files)
	var names []string
	for _, o := range s.Objects {
		if !o.Versioned {
			continue
		}
		names = append(names, o.GetName())
		if o.GetLabels()[LabelName] != o.Plain() || o.Object.Object["immutable"] != true || len(o.GetName()) != len(o.Plain())+9 {
			t.Errorf("%v", o.Object.Object)
		}
		if !strings.Contains(podSpec(t, s), `"name":"`+o.GetName()+`"`) {
			t.Errorf("the pod does not name %s: %s", o.GetName(), podSpec(t, s))
		}
		if s.Find(api.Ref{Kind: o.GetKind(), Namespace: "shop", Name: o.Plain()}) == nil {
			t.Errorf("%s is not found by its plain name", o.Plain())
		}
	}
	if len(names) != 2 {
		t.Fatalf("versioned: %q", names)
	}
	if data := s.Objects[0].Object.Object["data"]; dig(data, "password") != "aHVudGVyMi1odW50ZXIy" || s.Objects[0].Object.Object["stringData"] != nil {
		t.Errorf("the Secret holds %v", data)
	}
	files["k8s/a.yaml"] = strings.Replace(app, "colour: blue", "colour: red", 1)
	other := loaded(t, shop(), Overrides{}, files)
	if other.Objects[0].GetName() != names[0] || other.Objects[1].GetName() == names[1] || other.Digest == s.Digest {
		t.Errorf("%q, then %q and %q", names, other.Objects[0].GetName(), other.Objects[1].GetName())
	}
}

// Names that something else knows stay.
func TestNotVersioned(t *testing.T) {
	for name, more := range map[string]string{
		"annotation": strings.Replace(app, "kind: ConfigMap\nmetadata: {name: web", "kind: ConfigMap\nmetadata: {name: web, annotations: {runner.erlmcp.org/versioned: 'false'}", 1),
		"resource":   app + "---\napiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x}\nspec: {configRef: {name: web}}\n",
		"role":       app + "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: x}\nrules: [{apiGroups: [''], resources: [configmaps], resourceNames: [web], verbs: [get]}]\n",
		"unused":     strings.Replace(app, "        envFrom: [{configMapRef: {name: web}}]\n", "", 1),
	} {
		s := loaded(t, shop(), Overrides{}, map[string]string{"k8s/a.yaml": more})
		if o := s.Find(api.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "web"}); o == nil || o.Versioned || o.Object.Object["immutable"] != nil {
			t.Errorf("%s: %v", name, o)
		}
	}
}

// What the environment says goes over what the files say, and what the call says over both.
func TestOverrides(t *testing.T) {
	c := shop()
	c.Images = map[string]string{"registry.example.com:5000/shop/web": ":1.4", "shop/web": "@sha256:" + strings.Repeat("01", 32)}
	c.Replicas = map[string]int{"web": 5}
	c.Labels = map[string]string{"team": "blue"}
	s := loaded(t, c, Overrides{Replicas: map[string]int{"web": 7}}, map[string]string{"k8s/a.yaml": app})
	if want := []string{"registry.example.com:5000/shop/web:1.4", "shop/web@sha256:" + strings.Repeat("01", 32)}; !slices.Equal(s.Images, want) {
		t.Errorf("%q", s.Images)
	}
	for _, o := range s.Objects {
		if o.GetLabels()["team"] != "blue" {
			t.Errorf("%s has the labels %v", title(&o), o.GetLabels())
		}
		if o.GetKind() == "Deployment" && (dig(o.Object.Object, "spec", "replicas") != int64(7) || strings.Contains(podSpec(t, s), "blue") || dig(o.Object.Object, "spec", "selector", "matchLabels", "team") != nil) {
			t.Errorf("%v", o.Object.Object)
		}
	}
	_, err := load(t, c, Overrides{Images: map[string]string{"shop/wep": ":2", "shop/web:1.3": "x"}, Replicas: map[string]int{"wep": 1}}, map[string]string{"k8s/a.yaml": app})
	want := []string{
		"images: no container has the image shop/wep (did you mean shop/web?); the manifests have registry.example.com:5000/shop/web, shop/web",
		"images: want the image's name without tag and digest, got shop/web:1.3; write shop/web",
		"replicas: there is no Deployment or StatefulSet wep (did you mean web?)",
	}
	if got := mistakes(t, err); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// Objects of the script are objects like those of files.
func TestGiven(t *testing.T) {
	extra := Overrides{Objects: []Given{
		Secret{Name: "db", Data: map[string]secret.Text{"password": secret.Env("DB_PASSWORD")}, Versioned: true},
		Configmap{Name: "web", Files: []string{"config/app.conf"}, Data: map[string]string{"colour": "blue"}},
	}}
	one, _, _ := strings.Cut(app, "---")
	s := loaded(t, shop(), extra, map[string]string{"k8s/a.yaml": one, "config/app.conf": "x = 1\n"})
	db, web := s.Objects[0], s.Objects[1]
	if !db.Versioned || dig(db.Object.Object, "data", "password") != "aHVudGVyMi1odW50ZXIy" || db.File != `kube.secret("db")` {
		t.Errorf("%+v", db)
	}
	if web.Versioned || dig(web.Object.Object, "data", "app.conf") != "x = 1\n" {
		t.Errorf("%+v", web)
	}
	extra.Objects = append(extra.Objects, Secret{Name: "db", Data: map[string]secret.Text{"password": secret.Plain("hunter2-hunter2")}})
	_, err := load(t, shop(), extra, map[string]string{"k8s/a.yaml": app, "config/app.conf": ""})
	if got := strings.Join(mistakes(t, err), "\n"); !strings.Contains(got, "Secret/db is there twice: first at k8s/a.yaml:23:12") || strings.Contains(got, "hunter2") {
		t.Errorf("%s", got)
	}
}

// The environment's secrets become the Secret that the manifests refer to; where they do not, there is none.
func TestSecrets(t *testing.T) {
	c := shop().With(map[string]secret.Text{"password": secret.Env("DB_PASSWORD"), "other": secret.Env("OTHER")})
	one, _, _ := strings.Cut(app, "---")
	for name, want := range map[string]int{"shop-secrets": 2, "db": 1} {
		s := loaded(t, c, Overrides{}, map[string]string{"k8s/a.yaml": strings.Replace(one, "secretKeyRef: {name: db,", "secretKeyRef: {name: "+name+",", 1)})
		if len(s.Objects) != want || want == 2 && dig(s.Objects[0].Object.Object, "data", "other") == nil {
			t.Errorf("%s: %q", name, titles(s))
		}
	}
}

// The standard manifests are those of a project that names them and has none of that name; they are never mixed with its
// own, nor taken by one that names nothing.
func TestStandard(t *testing.T) {
	standard := fstest.MapFS{"k8s/web.yaml": {Data: []byte(app)}}
	own := map[string]string{"k8s/z.json": rest}
	for name, at := range map[string]struct {
		files map[string]string
		named []string
		want  int
	}{
		"folder":    {nil, []string{"k8s"}, 5},
		"file":      {own, []string{"k8s/web.yaml"}, 5},
		"both":      {own, []string{"k8s/web.yaml", "k8s/z.json"}, 6},
		"own":       {own, []string{"k8s"}, 1},
		"own usual": {own, nil, 1},
	} {
		h, c := hostAt(write(t, at.files)), shop()
		h.Standard, c.Manifests = standard, at.named
		s, err := Load(t.Context(), h, c, Overrides{})
		if err != nil {
			t.Fatal(name, err)
		}
		if len(s.Objects) != at.want {
			t.Errorf("%s: %q", name, titles(s))
		}
	}
	h := hostAt(write(t, nil))
	h.Standard = standard
	_, err := Load(t.Context(), h, shop(), Overrides{})
	if got := mistakes(t, err); len(got) != 1 || !strings.Contains(got[0], `manifests = ["k8s"]`) {
		t.Errorf("%q", got)
	}
}
