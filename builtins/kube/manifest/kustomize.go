package manifest

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/host"
)

// kustomization is the file that makes a folder a kustomization, "" where none does.
func kustomization(files host.FS, dir string) string {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if info, err := files.Stat(filepath.Join(dir, name)); err == nil && !info.IsDir() {
			return filepath.Join(dir, name)
		}
	}
	return ""
}

// kustomize reads what a folder's kustomization makes. Everything that it needs is a file: nothing is fetched, and no
// program runs.
func (l *loading) kustomize(files host.FS, dir string) {
	b := &build{l: l, files: files, seen: map[string]bool{}, known: map[string]bool{}}
	before := len(l.mistakes)
	b.look(dir)
	if len(l.mistakes) > before {
		return
	}
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk{files, b.read}, dir)
	if err != nil {
		l.wrong(b.mistake(dir, err))
		return
	}
	for _, r := range made.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			l.wrong(b.mistake(dir, err))
			continue
		}
		b.take(dir, string(text))
	}
}

// build is one kustomization that is read, with those that it names.
type build struct {
	l     *loading
	files host.FS
	seen  map[string]bool // files that were read
	known map[string]bool // kustomizations that were looked at
	docs  []written
}

// written is an object as one of the files of a kustomization has it.
type written struct {
	file string
	node *yaml.Node
}

// read notes a file that was read, and the objects in it: what is made of them has its places there.
func (b *build) read(path string, data []byte) {
	name := short(b.l.h, path)
	if b.seen[name] {
		return
	}
	b.seen[name] = true
	b.l.files = append(b.l.files, name)
	if !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
		return
	}
	docs, _ := documents(name, string(data))
	for _, d := range docs {
		b.docs = append(b.docs, written{name, d})
	}
}

// take adds an object that was made.
func (b *build) take(dir, text string) {
	docs, _ := documents("", text)
	for _, node := range docs {
		r := &reader{}
		fields, _ := r.value(node, 0).(map[string]any)
		o := &Object{Object: &api.Object{Object: fields}, File: short(b.l.h, kustomization(b.files, dir)), Line: 1}
		from := b.origin(o)
		if from != nil {
			o.File, o.Line, o.src = from.file, from.node.Line, &source{from.node}
		}
		if from == nil && (o.GetKind() == "ConfigMap" || o.GetKind() == "Secret") {
			b.generated(o)
		}
		b.l.add(o)
	}
}

// origin is where an object comes from: one of its kind whose name it has, with a prefix or a suffix perhaps.
func (b *build) origin(o *Object) (best *written) {
	longest := 0
	for i, d := range b.docs {
		_, kind := child(d.node, "kind")
		_, meta := child(d.node, "metadata")
		_, name := child(content(meta), "name")
		if kind == nil || name == nil || content(kind).Value != o.GetKind() {
			continue
		}
		if n := content(name).Value; strings.Contains(o.GetName(), n) && len(n) > longest {
			best, longest = &b.docs[i], len(n)
		}
	}
	return best
}

// hashed is the name of what a generator of a kustomization makes.
var hashed = regexp.MustCompile(`^(.+)-[a-z0-9]{10}$`)

// generated marks a ConfigMap or a Secret that a generator has versioned already.
func (b *build) generated(o *Object) {
	if m := hashed.FindStringSubmatch(o.GetName()); m != nil {
		o.Versioned = true
		setLabel(o, LabelName, m[1])
	}
}

// look finds what of a kustomization, and of those that it names, is no file here.
func (b *build) look(dir string) {
	path := kustomization(b.files, dir)
	if path == "" || b.known[path] {
		return
	}
	b.known[path] = true
	name := short(b.l.h, path)
	data, err := host.ReadFile(b.files, path, maxText)
	if err != nil {
		b.l.wrong(Mistake{File: name, Text: fmt.Sprintf("cannot read it: %v", host.Plainly(err))})
		return
	}
	docs, wrong := documents(name, string(data))
	if wrong != nil {
		b.l.wrong(*wrong)
	}
	for _, doc := range docs {
		r := &reader{file: name}
		r.value(doc, 0)
		if b.l.mistakes = append(b.l.mistakes, r.wrong...); !r.broken {
			b.fields(name, dir, doc)
		}
	}
}

func (b *build) fields(name, dir string, doc *yaml.Node) {
	for i := 0; i+1 < len(doc.Content); i += 2 {
		key, value := doc.Content[i], content(doc.Content[i+1])
		place := Mistake{File: name, Line: key.Line, Column: key.Column}
		switch key.Value {
		case "helmCharts", "helmChartInflationGenerator":
			place.Text, place.Hint = "Helm charts are not rendered here", "give the manifests that helm template prints"
			b.l.wrong(place)
		case "resources", "bases", "components":
			for _, item := range value.Content {
				b.resource(name, dir, content(item))
			}
		case "crds", "configurations", "generators", "transformers", "validators", "patchesStrategicMerge", "patches", "patchesJson6902",
			"replacements", "openapi", "configMapGenerator", "secretGenerator":
			b.remote(name, value)
		}
	}
}

// resource is one that a kustomization names: a file, a folder, or, where it is neither, text of another kind.
func (b *build) resource(name, dir string, n *yaml.Node) {
	if n.Kind != yaml.ScalarNode || strings.Contains(n.Value, "\n") {
		return
	}
	path := filepath.Join(dir, n.Value)
	info, err := b.files.Stat(path)
	switch {
	case err == nil && info.IsDir() && kustomization(b.files, path) == "":
		b.l.wrong(Mistake{File: name, Line: n.Line, Column: n.Column, Text: fmt.Sprintf("the folder %s has no kustomization", n.Value), Hint: "name its files"})
	case err == nil && info.IsDir():
		b.look(path)
	case err == nil:
	case strings.Contains(n.Value, "://") || strings.Contains(n.Value, "?ref=") || regexp.MustCompile(`^(git@|git::|[a-z0-9-]+\.(com|org|net|io)/)`).MatchString(n.Value):
		b.l.wrong(away(name, n))
	default:
		b.l.wrong(Mistake{File: name, Line: n.Line, Column: n.Column, Text: "there is no file " + short(b.l.h, path)})
	}
}

// remote finds what is to be fetched, in the fields of a kustomization that name files.
func (b *build) remote(name string, n *yaml.Node) {
	n = content(n)
	switch n.Kind {
	case yaml.ScalarNode:
		if !strings.Contains(n.Value, "\n") && regexp.MustCompile(`^(\w+=)?https?://`).MatchString(n.Value) {
			b.l.wrong(away(name, n))
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			b.remote(name, item)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if key := n.Content[i].Value; key != "literals" && key != "patch" && key != "options" {
				b.remote(name, n.Content[i+1])
			}
		}
	}
}

func away(name string, n *yaml.Node) Mistake {
	return Mistake{File: name, Line: n.Line, Column: n.Column, Text: fmt.Sprintf("%s is not here, and nothing is fetched", n.Value),
		Hint: "keep a copy of it in the project"}
}

// mistake is what kustomize says, on one line.
func (b *build) mistake(dir string, err error) Mistake {
	text := oneLine(err.Error())
	text = strings.ReplaceAll(text, dir+"/", "")
	text = strings.ReplaceAll(text, b.l.h.Project+"/", "")
	m := Mistake{File: short(b.l.h, kustomization(b.files, dir)), Line: 1, Text: "kustomize cannot build it: " + text}
	for _, words := range []string{"external plugins disabled", "plugins disabled", "unable to load builtin", "must specify --enable"} {
		if strings.Contains(text, words) {
			m.Text, m.Hint = "it names a plugin, and no program runs for it: "+text, "what it makes can lie beside it as a file"
		}
	}
	return m
}

var errWritten = errors.New("a kustomization writes nothing")
