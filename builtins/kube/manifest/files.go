package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"go.yaml.in/yaml/v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// maxText is the size of a file that is read at most.
const maxText = 8 << 20

// usual is the folder of a target that names no manifests.
const usual = "k8s"

// over is the files that a name means. Where the project has nothing of that name and there is a standard one, the
// standard files lie under the project. A folder of the project is never mixed with a standard one: what another
// application needs would be deployed with it.
func over(h *host.Host, path string) host.FS {
	if _, own := h.Files.Stat(path); h.Standard == nil || !absent(own) {
		return h.Files
	}
	return host.Over{FS: h.Files, Dir: h.Project, Under: h.Standard}
}

// entry reads one entry of a target's manifests: a file, a folder, or a folder with a kustomization.
func (l *loading) entry(name string) {
	path := l.h.Abs(name)
	files := over(l.h, path)
	if len(l.c.Manifests) == 0 {
		files = l.h.Files // those of the standard are asked for by name
	}
	info, err := files.Stat(path)
	switch {
	case err != nil:
		l.wrong(l.noEntry(name, err))
	case !info.IsDir():
		l.file(files, path)
	case kustomization(files, path) != "":
		l.kustomize(files, path)
	default:
		l.folder(files, path)
	}
}

// folder reads the manifests of a folder in the order of their names. Folders in it are not looked into, as kubectl does.
func (l *loading) folder(files host.FS, path string) {
	entries, err := files.ReadDir(path)
	if err != nil {
		l.wrong(Mistake{File: short(l.h, path), Text: fmt.Sprintf("cannot read the folder: %v", host.Plainly(err))})
		return
	}
	found, folders := 0, []string{}
	for _, e := range entries {
		switch {
		case e.IsDir():
			folders = append(folders, e.Name())
		case isManifest(e.Name()):
			l.file(files, filepath.Join(path, e.Name()))
			found++
		}
	}
	if found > 0 {
		return
	}
	m := Mistake{File: short(l.h, path), Text: "there is no manifest in the folder", Hint: "manifests are files *.yaml, *.yml and *.json"}
	if len(folders) > 0 {
		m.Hint += "; folders in it are not looked into: name them in manifests ="
	}
	l.wrong(m)
}

func isManifest(name string) bool {
	return !strings.HasPrefix(name, ".") && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}

func (l *loading) noEntry(name string, err error) Mistake {
	m := Mistake{File: short(l.h, l.h.Abs(name))}
	if !absent(err) {
		m.Text = fmt.Sprintf("cannot read it: %v", host.Plainly(err))
		return m
	}
	m.Text = "there is no such file or folder"
	var beside []string
	entries, _ := l.h.Files.ReadDir(filepath.Dir(l.h.Abs(name)))
	for _, e := range entries {
		beside = append(beside, e.Name())
	}
	m.Text += builtin.DidYouMean(filepath.Base(name), beside)
	m.Hint = "manifests = in cluster(...) names the files and folders"
	if l.h.Standard != nil && len(l.c.Manifests) == 0 {
		m.Hint += "; those that come with runner too: manifests = [\"k8s\"]"
	}
	return m
}

// file reads the objects of a file.
func (l *loading) file(files host.FS, path string) {
	name := short(l.h, path)
	if slices.Contains(l.files, name) {
		return
	}
	l.files = append(l.files, name)
	data, err := host.ReadFile(files, path, maxText)
	if err != nil {
		l.wrong(Mistake{File: name, Text: fmt.Sprintf("cannot read it: %v", host.Plainly(err))})
		return
	}
	docs, wrong := documents(name, string(data))
	if wrong != nil {
		l.wrong(*wrong)
	}
	for _, doc := range docs {
		r := &reader{file: name}
		value := r.value(doc, 0)
		if l.mistakes = append(l.mistakes, r.wrong...); !r.broken {
			l.document(name, doc, value)
		}
	}
}

// local is the annotation of what lies among manifests and is no part of what is deployed; kustomize and kpt know it.
const local = "config.kubernetes.io/local-config"

// document takes the object of a document, or those of a list.
func (l *loading) document(file string, node *yaml.Node, value any) {
	fields, ok := value.(map[string]any)
	if !ok {
		l.wrong(Mistake{File: file, Line: node.Line, Column: node.Column, Text: "want an object, a mapping with apiVersion, kind and metadata, got " + kindOf(value)})
		return
	}
	kind, _ := fields["kind"].(string)
	items, list := fields["items"].([]any)
	_, nodes := child(node, "items")
	if !strings.HasSuffix(kind, "List") || !list && fields["items"] != nil {
		if at, _, _ := unstructured.NestedString(fields, "metadata", "annotations", local); at == "true" {
			return
		}
		l.add(&Object{Object: &api.Object{Object: fields}, File: file, Line: node.Line, src: &source{node}})
		return
	}
	for i, item := range items {
		at := node
		if nodes = content(nodes); nodes != nil && i < len(nodes.Content) {
			at = content(nodes.Content[i])
		}
		l.document(file, at, item)
	}
}

func (l *loading) add(o *Object) { l.objects = append(l.objects, o) }

// short is a path as people write it: seen from the project where it lies there.
func short(h *host.Host, path string) string {
	if rel, err := filepath.Rel(h.Project, path); err == nil && filepath.IsLocal(rel) {
		if rel == "." {
			return "the project's folder"
		}
		return rel
	}
	return path
}

// absent reports whether an error says that a file is not there.
func absent(err error) bool { return errors.Is(err, os.ErrNotExist) }
