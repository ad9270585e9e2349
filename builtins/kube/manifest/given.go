package manifest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Given is an object that a script makes.
type Given interface {
	object(ctx context.Context, h *host.Host) (fields map[string]any, called string, err error)
}

var (
	_ Given = Secret{}
	_ Given = Configmap{}
)

// Secret is kube.secret.
type Secret struct {
	_         op.Doc                 `doc:"A Secret of secrets that lie in no file: objects = [kube.secret(\"erlmcp\", {\"password\": secret.env(\"DB_PASSWORD\")})]."`
	Name      string                 `json:"name" doc:"The Secret's name."`
	Data      map[string]secret.Text `json:"data" doc:"What it holds, by key."`
	Type      string                 `json:"type,omitempty" doc:"Its type; Opaque when left out."`
	Namespace string                 `json:"namespace,omitempty" doc:"Its namespace; the target's when left out."`
	Versioned bool                   `json:"versioned" doc:"Whether its name ends in a digest of what it holds, so that pods start anew when that changes."`
}

// Configmap is kube.configmap.
type Configmap struct {
	_         op.Doc            `doc:"A ConfigMap of texts and files: objects = [kube.configmap(\"erlmcp\", files = [\"config/production.config\"])]."`
	Name      string            `json:"name" doc:"The ConfigMap's name."`
	Data      map[string]string `json:"data,omitempty" doc:"Texts, by key."`
	Files     []string          `json:"files,omitempty" doc:"Files, each by its name without folders."`
	Namespace string            `json:"namespace,omitempty" doc:"Its namespace; the target's when left out."`
	Versioned bool              `json:"versioned" doc:"Whether its name ends in a digest of what it holds, so that pods start anew when that changes."`
}

// Check implements op.Checked.
func (s Secret) Check() error {
	if len(s.Data) == 0 {
		return errors.New("data: want at least one key")
	}
	return nil
}

// Check implements op.Checked.
func (c Configmap) Check() error {
	if len(c.Data) == 0 && len(c.Files) == 0 {
		return errors.New("data: want at least one key, or files")
	}
	return nil
}

// given adds the objects that the script makes.
func (l *loading) given(ctx context.Context, all []Given) error {
	for _, g := range all {
		fields, called, err := g.object(ctx, l.h)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil: // such as a secret that cannot be read: what names the object is right all the same
			l.partial = true
			l.wrong(Mistake{File: called, Text: err.Error(), Hint: op.HintOf(err)})
			continue
		}
		l.scripted = append(l.scripted, called)
		l.add(&Object{Object: &api.Object{Object: fields}, File: called})
	}
	return nil
}

// secrets adds the Secret of a target's secrets, where the manifests name it.
func (l *loading) secrets(ctx context.Context) error {
	name, named := l.c.Name+"-secrets", false
	for _, o := range l.objects {
		texts(o.Object.Object, nil, func(_ []string, text string) { named = named || text == name })
	}
	if !named || len(l.c.Secrets) == 0 {
		return nil
	}
	return l.given(ctx, []Given{Secret{Name: name, Data: l.c.Secrets, Versioned: true}})
}

func (s Secret) object(ctx context.Context, h *host.Host) (map[string]any, string, error) {
	called := fmt.Sprintf("kube.secret(%q)", s.Name)
	data := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(s.Data)) {
		value, err := h.Secrets.RevealIn(ctx, s.Data[key])
		if err != nil {
			return nil, called, fmt.Errorf("data: %s: %w", key, err)
		}
		data[key] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	fields := fields("Secret", s.Name, s.Namespace, s.Versioned)
	fields["data"] = data
	fields["type"] = s.Type
	if s.Type == "" {
		fields["type"] = "Opaque"
	}
	return fields, called, nil
}

func (c Configmap) object(_ context.Context, h *host.Host) (map[string]any, string, error) {
	called := fmt.Sprintf("kube.configmap(%q)", c.Name)
	data, binary := map[string]any{}, map[string]any{}
	for k, v := range c.Data {
		data[k] = v
	}
	for _, name := range c.Files {
		key := filepath.Base(name)
		_, text := data[key]
		_, bytes := binary[key]
		if text || bytes {
			return nil, called, fmt.Errorf("files: there are two keys %s", key)
		}
		b, err := host.ReadFile(over(h, h.Abs(name)), h.Abs(name), maxText)
		if err != nil {
			return nil, called, fmt.Errorf("files: cannot read %s: %w", name, host.Plainly(err))
		}
		if utf8.Valid(b) {
			data[key] = string(b)
		} else {
			binary[key] = base64.StdEncoding.EncodeToString(b)
		}
	}
	fields := fields("ConfigMap", c.Name, c.Namespace, c.Versioned)
	fields["data"] = data
	if len(binary) > 0 {
		fields["binaryData"] = binary
	}
	return fields, called, nil
}

func fields(kind, name, namespace string, versioned bool) map[string]any {
	meta := map[string]any{"name": name}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	if !versioned {
		meta["annotations"] = map[string]any{AnnotationVersioned: "false"}
	}
	return map[string]any{"apiVersion": "v1", "kind": kind, "metadata": meta}
}
