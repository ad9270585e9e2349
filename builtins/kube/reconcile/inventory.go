package reconcile

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/op"
)

// The inventory lies in the parent of the set, a Secret as the ApplySet specification (KEP-3659) wants it: other tools
// find by it what belongs to the set, and runner what it has applied last.
const (
	labelSet       = "applyset.kubernetes.io/id"
	noteTooling    = "applyset.kubernetes.io/tooling"
	noteKinds      = "applyset.kubernetes.io/contains-group-kinds"
	noteNamespaces = "applyset.kubernetes.io/additional-namespaces"
	noteOf         = "runner.erlmcp.org/namespace" // of the target: two of one name must not prune each other
	tooling        = "runner/v1"
	inventoryField = "inventory" // JSON, compressed by zstd
	maxInventory   = 64 << 20    // the most memory that an inventory may take
)

func (s Set) parentRef() api.Ref {
	return api.Ref{Version: "v1", Kind: "Secret", Namespace: s.State, Name: s.Parent()}
}

// readInventory reads what was applied last; nothing where there is no set yet. One that cannot be read is as none: what
// it says is only a reason to send less.
func readInventory(ctx context.Context, c *api.Conn, set Set) ([]Kept, error) {
	o, err := c.Get(ctx, set.parentRef())
	if err != nil || o == nil {
		return nil, err
	}
	if by := o.GetAnnotations()[noteTooling]; by != tooling {
		return nil, fmt.Errorf("cannot use the Secret %s/%s: it belongs to %q, not to runner", set.State, set.Parent(), by)
	}
	if of := o.GetAnnotations()[noteOf]; of != set.Namespace {
		return nil, op.Hint(fmt.Errorf("cannot use the Secret %s/%s: it is of the target %s in the namespace %s, and this one is in %s", set.State, set.Parent(), set.Name, of, set.Namespace),
			"give one of the two another name, or another state namespace")
	}
	text, _, _ := unstructured.NestedString(o.Object, "data", inventoryField)
	packed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, nil
	}
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxInventory))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := r.DecodeAll(packed, nil)
	var kept []Kept
	if err != nil || json.Unmarshal(data, &kept) != nil {
		return nil, nil
	}
	return kept, nil
}

// writeInventory makes the inventory say what was applied. Before objects are applied it names more than there are, so
// that a run that dies leaves none unnamed.
func writeInventory(ctx context.Context, c *api.Conn, set Set, kept []Kept) error {
	kept = slices.Clone(kept)
	slices.SortFunc(kept, func(a, b Kept) int { return order(a.Ref, b.Ref) })
	data, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	defer w.Close()
	var kinds, namespaces []string
	for _, k := range kept {
		kinds = append(kinds, strings.TrimSuffix(k.Kind+"."+k.Group, "."))
		if k.Namespace != "" && k.Namespace != set.State {
			namespaces = append(namespaces, k.Namespace)
		}
	}
	o := &api.Object{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{
			"name": set.Parent(), "namespace": set.State,
			"labels":      map[string]any{labelSet: set.ID()},
			"annotations": map[string]any{noteTooling: tooling, noteKinds: joined(kinds), noteNamespaces: joined(namespaces), noteOf: set.Namespace},
		},
		"data": map[string]any{inventoryField: base64.StdEncoding.EncodeToString(w.EncodeAll(data, nil))},
	}}
	_, err = c.Apply(ctx, o, api.Applying{Force: true})
	return err
}

func joined(names []string) string {
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}

// noKind reports that a cluster does not serve a kind: so it has no object of it.
func noKind(err error) bool {
	var none *api.ErrNoKind
	return errors.As(err, &none)
}
