package reconcile

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/moby/moby/client"
)

// Snapshot is a project as an engine has it, to go back to: with the files that were laid into its containers, so that
// one which somebody removes meanwhile can be made again.
func Snapshot(ctx context.Context, e *Engine, project string) (*shape.Set, error) {
	seen, err := Observe(ctx, e, project)
	if err != nil {
		return nil, err
	}
	for i, c := range seen.Containers {
		if seen.Containers[i].Files, err = filesOf(ctx, e, c); err != nil {
			return nil, fmt.Errorf("cannot read the files of %s: %w", title(c), err)
		}
	}
	return &seen.Set, nil
}

// paths is the value of shape.LabelFiles.
func paths(files []shape.File) string {
	var all []string
	for _, f := range files {
		all = append(all, f.Path)
	}
	b, _ := json.Marshal(all)
	return string(b)
}

// filesOf are the files that were laid into a container.
func filesOf(ctx context.Context, e *Engine, c shape.Container) (out []shape.File, err error) {
	var all []string
	if c.Config.Labels[shape.LabelFiles] == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(c.Config.Labels[shape.LabelFiles]), &all); err != nil {
		return nil, err
	}
	for _, path := range all {
		f, err := fileOf(ctx, e, c.ID, path)
		if errdefs.IsNotFound(err) {
			continue // its program has removed it
		}
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// maxFile is how large a file may be that was laid into a container.
const maxFile = 16 << 20

func fileOf(ctx context.Context, e *Engine, id, path string) (shape.File, error) {
	got, err := e.CopyFromContainer(ctx, id, client.CopyFromContainerOptions{SourcePath: path})
	if err != nil {
		return shape.File{}, err
	}
	defer got.Content.Close()
	r := tar.NewReader(got.Content)
	head, err := r.Next()
	if err != nil {
		return shape.File{}, err
	}
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if len(data) > maxFile {
		return shape.File{}, fmt.Errorf("%s has over %d bytes", path, maxFile)
	}
	return shape.File{Path: path, Data: data, Mode: uint32(head.Mode), UID: head.Uid, GID: head.Gid}, err
}
