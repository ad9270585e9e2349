package dockertest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/docker/buildkit"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/moby/moby/client"
)

// Stack is what the standard stack is built and run from where no registry is.
type Stack struct {
	Args   map[string]string // for the ARGs of its Dockerfiles, in place of the images that they name
	Images map[string]string // of the services that are not built
}

// Stack makes it: of Debian's packages what can be had from there, stand-ins for the rest. Its images stay on the engine
// for the next test, as the base of all of them does in a cache of the machine.
func (w World) Stack() Stack {
	w.T.Helper()
	return Stack{
		Args: map[string]string{"BUILDER": w.made("erlang"), "RUNTIME": w.debian(), "BASE": w.made("busybox"), "TOOLS": w.made("busybox"),
			"COLLECTOR": w.made("collector"), "PROMETHEUS": w.made("prometheus"), "GRAFANA": w.made("grafana")},
		Images: map[string]string{"postgres": w.made("postgres"), "jaeger": w.made("jaeger")},
	}
}

// recipes is the folder that says what the images are made of.
func recipes() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../../../testdata/docker")
}

// made is the image of a stage of the stack's Dockerfile.
func (w World) made(target string) string {
	w.T.Helper()
	source, debian, context := recipes(), w.debian(), w.T.TempDir()
	for _, name := range []string{"Dockerfile", "postgres.sh"} {
		b, err := os.ReadFile(filepath.Join(source, "stack", name))
		if err = errors.Join(err, os.WriteFile(filepath.Join(context, name), b, 0o644)); err != nil {
			w.T.Fatal(err)
		}
	}
	w.exec(filepath.Join(source, "stack/standin"), io.Discard, "go", "build", "-trimpath", "-ldflags", "-s -w -buildid=", "-o", filepath.Join(context, "standin"), ".")
	image, err := buildkit.Build(w.T.Context(), w.Host, w.Engine.Client, buildkit.Request{Context: context, Dockerfile: filepath.Join(context, "Dockerfile"), Target: target,
		Args: map[string]string{"DEBIAN": debian}, Cache: true, Timeout: 15 * time.Minute, Key: "lab/1"})
	if err != nil {
		w.T.Fatalf("%s: %v", target, err)
	}
	name := "runner-lab/" + target + ":stack"
	if _, err := w.Engine.ImageTag(w.T.Context(), client.ImageTagOptions{Source: image.ID, Target: name}); err != nil {
		w.T.Fatal(err)
	}
	return name
}

// debian is the base, made and put on the engine where it is not there.
func (w World) debian() string {
	w.T.Helper()
	source := recipes()
	recipe, err := os.ReadFile(filepath.Join(source, "debian.sh"))
	if err != nil {
		w.T.Fatal(err)
	}
	name := "runner-lab/debian:" + host.SHA256(recipe)[:12]
	if _, err := w.Engine.ImageInspect(w.T.Context(), name); err == nil {
		return name
	}
	var path bytes.Buffer
	w.exec(source, &path, "sh", "debian.sh")
	archive, err := os.Open(strings.TrimSpace(path.String()))
	if err != nil {
		w.T.Fatal(err)
	}
	defer archive.Close()
	got, err := w.Engine.ImageImport(w.T.Context(), client.ImageImportSource{Source: archive, SourceName: "-"}, name, client.ImageImportOptions{Changes: []string{`CMD ["bash"]`}})
	if err != nil {
		w.T.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, got); errors.Join(err, got.Close()) != nil {
		w.T.Fatal(err)
	}
	return name
}

// exec runs a program of the machine.
func (w World) exec(dir string, out io.Writer, argv ...string) {
	w.T.Helper()
	var said bytes.Buffer
	cmd := host.Cmd{Argv: argv, Dir: dir, Env: append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux"), Stdout: out, Stderr: &said}
	exit, err := w.Host.Procs.Run(w.T.Context(), cmd, func(host.Proc) error { return nil })
	if err != nil || exit != (host.Exit{}) {
		w.T.Fatalf("%s: %v, %v: %s", argv[0], exit, err, said.String())
	}
}
