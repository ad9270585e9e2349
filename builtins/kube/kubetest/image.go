package kubetest

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// image is that of a static program, and nothing else. It runs as a user without rights, with arguments where a manifest
// says no others.
func image(program string, args ...string) (v1.Image, error) {
	b, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	err = w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(b))})
	_, wrote := w.Write(b)
	if err := errors.Join(err, wrote, w.Close()); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil })
	if err != nil {
		return nil, err
	}
	out, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := out.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config = "linux", runtime.GOARCH, v1.Config{Entrypoint: []string{"/app"}, Cmd: args, User: "65534"}
	return mutate.ConfigFile(out, config)
}

// save writes the image of a program to a file that an engine can load.
func save(program, reference, file string) error {
	i, err := image(program)
	if err != nil {
		return err
	}
	ref, err := name.ParseReference(reference)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(file, ref, i)
}

// push pushes the image of a program to a registry that speaks plain HTTP.
func push(program, registry, repository, tag string, args ...string) error {
	i, err := image(program, args...)
	if err != nil {
		return err
	}
	layers, err := i.Layers()
	if err != nil {
		return err
	}
	blobs := map[v1.Hash]func() (io.ReadCloser, error){}
	for _, l := range layers {
		digest, err := l.Digest()
		if err != nil {
			return err
		}
		blobs[digest] = l.Compressed
	}
	manifest, err := i.RawManifest()
	config, named := i.ConfigName()
	text, described := i.RawConfigFile()
	if err := errors.Join(err, named, described); err != nil {
		return err
	}
	blobs[config] = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	at := "http://" + registry + "/v2/" + repository
	for digest, open := range blobs {
		r, err := open()
		if err != nil {
			return err
		}
		if err := send(http.MethodPost, at+"/blobs/uploads/?digest="+digest.String(), "application/octet-stream", r); err != nil {
			return err
		}
	}
	return send(http.MethodPut, at+"/manifests/"+tag, string(types.DockerManifestSchema2), bytes.NewReader(manifest))
}

func send(method, url, kind string, body io.Reader) error {
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", kind)
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s %s: %s", method, url, got.Status)
	}
	return nil
}
