package buildkit

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// Same is the ID of the image that bears a name, where another one consists of the same layers and is configured alike but
// for the input that it was made from; "" where it is another, or there is none.
func Same(ctx context.Context, e *client.Client, name, other string) (string, error) {
	have, err := e.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return "", nil
	}
	made, e2 := e.ImageInspect(ctx, other)
	if err != nil || e2 != nil {
		return "", fmt.Errorf("cannot compare the images %s and %s: %w", name, other, cmp.Or(err, e2))
	}
	if have.Config == nil || made.Config == nil || have.Os != made.Os || have.Architecture != made.Architecture || have.Variant != made.Variant ||
		!reflect.DeepEqual(have.RootFS, made.RootFS) {
		return "", nil
	}
	a, b := *have.Config, *made.Config
	a.Labels, b.Labels = maps.Clone(a.Labels), maps.Clone(b.Labels)
	delete(a.Labels, LabelInput)
	delete(b.Labels, LabelInput)
	if !reflect.DeepEqual(a, b) {
		return "", nil
	}
	return have.ID, nil
}
