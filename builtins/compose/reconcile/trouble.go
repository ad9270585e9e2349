package reconcile

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/client"
)

func (d *doing) saysWaiting(ctx context.Context, what string, within time.Duration) {
	op.Waiting(ctx, what, d.Clock.Now().Add(within))
}

// known is how a followed container stands.
func (w *watch) known(id string) (State, Since, bool) {
	w.mu.Lock()
	known := w.follows[id] != nil
	w.mu.Unlock()
	if !known {
		return State{}, Since{}, false
	}
	state, since, _ := w.stand(id)
	return state, since, true
}

// What engines say around what matters.
var (
	around = regexp.MustCompile(`^(Error response from daemon: |error during connect: |failed to create (shim )?\w+( for container)?: |OCI runtime create failed: |(container_linux|runc).*?: (starting container process caused: )?|` +
		`unable to start container process: (error during container init: )?|driver failed programming external connectivity on endpoint \S+ \([0-9a-f]+\): |\w+ "https?://[^"]*": )`)
	away    = regexp.MustCompile(`^failed to connect to the docker API at ([^;]+);`)
	program = regexp.MustCompile(`^exec: "([^"]*)": (?:stat \S+: )?(no such file or directory|executable file not found in \$PATH|permission denied|is a directory)$`)
)

// innermost leaves out what engines say around what matters.
func innermost(text string) string {
	for next := around.ReplaceAllString(text, ""); next != text; next = around.ReplaceAllString(text, "") {
		text = next
	}
	return strings.TrimSuffix(strings.TrimSpace(text), ": unknown")
}

// said is what an engine says, without what it says of itself.
func said(text string) string {
	text = innermost(text)
	if m := program.FindStringSubmatch(text); m != nil && m[2] != "permission denied" && m[2] != "is a directory" {
		return "its image has no program " + m[1]
	} else if m != nil {
		return m[1] + " in its image is no program that it may run"
	}
	if m := away.FindStringSubmatch(text); m != nil {
		return "cannot reach the Docker engine at " + m[1]
	}
	if text == "EOF" || text == "unexpected EOF" {
		return "the engine has broken off the connection"
	}
	return text
}

// plain is an error of an engine in few words. It is still the kind of error that it was.
func plain(err error) error {
	if err == nil {
		return nil
	}
	if text := said(err.Error()); text != err.Error() && op.HintOf(err) == "" {
		return &words{text, err}
	}
	return err
}

type words struct {
	text string
	err  error
}

func (w *words) Error() string { return w.text }
func (w *words) Unwrap() error { return w.err }

// notMade says why an engine makes no container, and who is in the way.
func (d *doing) notMade(ctx context.Context, c shape.Container, name string, err error) error {
	switch {
	case errdefs.IsNotFound(err) && strings.Contains(strings.ToLower(err.Error()), "no such image"):
		return missingImage(c.Image, c.Service)
	case errdefs.IsConflict(err):
		return d.nameTaken(ctx, title(c), name, err)
	}
	return fmt.Errorf("cannot make %s: %w", title(c), plain(err))
}

// nameTaken says who bears a name.
func (d *doing) nameTaken(ctx context.Context, title, name string, err error) error {
	got, e := d.Engine.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if !errdefs.IsConflict(err) || e != nil {
		return fmt.Errorf("cannot give %s the name %s: %w", title, name, plain(err))
	}
	return op.Hint(fmt.Errorf("cannot give %s the name %s: the container %s, %s, bears it", title, name, got.Container.ID[:shortID], whose(got.Container.Config.Labels[labelProject])),
		"rename or remove that one: docker rename %s NAME", name)
}

// Ports in what engines say of one that is taken.
var (
	allocated = regexp.MustCompile(`Bind for [^ ]*:(\d+) failed: port is already allocated`)
	inUse     = regexp.MustCompile(`(?:listen|bind|failed to bind)[^:]* [^ ]*?:(\d+)[^:]*: .*address already in use`)
)

// notStarted says why a container does not start.
func (d *doing) notStarted(ctx context.Context, title, id string, err error) error {
	for _, p := range []*regexp.Regexp{allocated, inUse} {
		m := p.FindStringSubmatch(err.Error())
		if m == nil {
			continue
		}
		n, _ := strconv.ParseUint(m[1], 10, 16)
		if held, ok := d.holder(ctx, id, uint16(n)); ok {
			return portTaken(title, uint16(n), held)
		}
		return op.Hint(fmt.Errorf("%s cannot have port %d: a process on the engine's host, and no container, listens there", title, n),
			"see which: ss -ltnp 'sport = :%d'", n)
	}
	if program.MatchString(innermost(err.Error())) {
		return op.Hint(fmt.Errorf("cannot start %s: %w", title, plain(err)), "its entrypoint and its command, in the files and in the image, say what is run")
	}
	return fmt.Errorf("cannot start %s: %w", title, plain(err))
}

// holder is the container that has a port of the host.
func (d *doing) holder(ctx context.Context, but string, port uint16) (Port, bool) {
	list, err := d.Engine.ContainerList(ctx, client.ContainerListOptions{Filters: make(client.Filters).Add("publish", strconv.Itoa(int(port)))})
	if err != nil {
		return Port{}, false
	}
	for _, c := range list.Items {
		for _, p := range c.Ports {
			if p.PublicPort == port && c.ID != but && len(c.Names) > 0 {
				return Port{Number: port, Proto: p.Type, Holder: c.Names[0][1:], Project: c.Labels[labelProject]}, true
			}
		}
	}
	return Port{}, false
}
