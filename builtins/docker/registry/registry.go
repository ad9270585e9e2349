// Package registry has a Docker engine fetch images from registries and store them there, for whoever Docker's own
// configuration, or a script, says. The engine does the work and asks again where a layer is lost on the way: what is
// interrupted may be repeated, and takes up where it was. The package itself talks to no registry.
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Parse reads an image's name, with its tag: "latest" where none is given.
func Parse(name string) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return nil, fmt.Errorf("want the name of an image such as \"registry.example.org/app:1.2\", got %q", name)
	}
	return reference.TagNameOnly(named), nil
}

// Pull fetches an image, and gives the digest by which its registry knows it.
func (c Client) Pull(ctx context.Context, e *client.Client, name, platform string, within time.Duration) (digest string, err error) {
	image, err := Parse(name)
	if err != nil {
		return "", err
	}
	header, err := c.header(ctx, image)
	if err != nil {
		return "", err
	}
	options := client.ImagePullOptions{RegistryAuth: header}
	if platform != "" {
		options.Platforms = []ocispec.Platform{ParsePlatform(platform)}
	}
	return c.follow(ctx, name, "pull", within, func(ctx context.Context) (stream, error) { return e.ImagePull(ctx, name, options) })
}

// Push stores an image in the registry that its name names.
func (c Client) Push(ctx context.Context, e *client.Client, name string, within time.Duration) (digest string, err error) {
	image, err := Parse(name)
	if err != nil {
		return "", err
	}
	if _, ok := image.(reference.Digested); ok {
		return "", errors.New("want a name with a tag: a digest says what an image is, and not where to store it")
	}
	if _, err := e.ImageInspect(ctx, name); errdefs.IsNotFound(err) {
		return "", op.Hint(fmt.Errorf("cannot push %s: the engine has no such image", name), "docker.build makes one, docker.tag gives one a name")
	}
	header, err := c.header(ctx, image)
	if err != nil {
		return "", err
	}
	if header == "" {
		header = "e30=" // {}: engines want one, of nobody too
	}
	return c.follow(ctx, name, "push", within, func(ctx context.Context) (stream, error) {
		return e.ImagePush(ctx, name, client.ImagePushOptions{RegistryAuth: header})
	})
}

// ParsePlatform reads "linux/arm64/v8".
func ParsePlatform(text string) (p ocispec.Platform) {
	p.OS, p.Architecture, _ = strings.Cut(text, "/")
	p.Architecture, p.Variant, _ = strings.Cut(p.Architecture, "/")
	return p
}

type stream interface {
	JSONMessages(ctx context.Context) iter.Seq2[jsonstream.Message, error]
}

var digestPattern = regexp.MustCompile(`[dD]igest: (sha256:[0-9a-f]{64})`)

// follow shows how far the layers are, all taken together, and gives the digest that is told in the end.
func (c Client) follow(ctx context.Context, name, verb string, within time.Duration, begin func(context.Context) (stream, error)) (digest string, err error) {
	limited, cancel := c.Host.Clock.Timeout(ctx, within, fmt.Errorf("it took longer than %s", op.Duration(within)))
	defer cancel()
	until := c.Host.Clock.Now().Add(within)
	op.Waiting(ctx, "the engine to "+verb+" "+name, until)
	messages, err := begin(limited)
	if err != nil {
		return "", c.why(limited, verb, name, err)
	}
	moved := map[string]jsonstream.Progress{}
	for m, err := range messages.JSONMessages(limited) {
		if err == nil && m.Error != nil {
			err = m.Error
		}
		if err != nil {
			return "", c.why(limited, verb, name, err)
		}
		if found := digestPattern.FindStringSubmatch(m.Status); found != nil {
			digest = found[1]
		}
		if m.Aux != nil {
			var told struct{ Digest string }
			if json.Unmarshal(*m.Aux, &told) == nil && told.Digest != "" {
				digest = told.Digest
			}
		}
		if m.Progress == nil || m.Progress.Total <= 0 || m.Status != "Downloading" && m.Status != "Pushing" {
			continue
		}
		moved[m.ID] = *m.Progress
		var done, total int64
		for _, p := range moved {
			done, total = done+min(p.Current, p.Total), total+p.Total
		}
		op.Progress(ctx, done, total, "bytes")
		op.Waiting(ctx, "the engine to "+verb+" "+name, until)
	}
	if limited.Err() != nil {
		return "", c.why(limited, verb, name, limited.Err())
	}
	if digest == "" {
		return "", fmt.Errorf("cannot %s %s: the engine ends without a word of what it has", verb, name)
	}
	return digest, nil
}

// troubles are what engines and registries say, and what to do about it. Theirs are texts: the engine passes them on.
var troubles = []struct {
	says  *regexp.Regexp
	means string
	hint  string
	again bool
}{
	{regexp.MustCompile(`HTTP response to HTTPS client`), "its registry speaks HTTP where HTTPS is wanted", "the engine's configuration lists registries without HTTPS: insecure-registries", false},
	{regexp.MustCompile(`x509:|tls:`), "the certificate of its registry is not trusted", "the engine trusts what lies in /etc/docker/certs.d/REGISTRY/ca.crt", false},
	{regexp.MustCompile(`(?i)unauthorized|authentication required|no basic auth credentials|incorrect username or password|status: 401`), "its registry does not accept the login", "log in by docker login, or give username and password", false},
	{regexp.MustCompile(`(?i)access (?:to the resource )?(?:is )?denied|status: 403|insufficient_scope`), "its registry refuses it to this login, or has no such image", "log in by docker login, or give username and password; and look at the name", false},
	{regexp.MustCompile(`(?i)manifest unknown|manifest for .* not found|name unknown|not found: |status: 404|repository .* not found|no matching manifest`), "its registry has no such image", "look at the name and the tag", false},
	{regexp.MustCompile(`(?i)no such host|server misbehaving|connection refused|network is unreachable|no route to host|i/o timeout|Temporary failure in name|context deadline exceeded|Client\.Timeout`), "the engine cannot reach its registry", "it is the engine that must reach it, not this machine", false},
	{regexp.MustCompile(`(?i)unexpected EOF|: EOF|connection reset|broken pipe|status: 5\d\d|unexpected HTTP status: 5\d\d|toomanyrequests`), "", "", true},
}

// tries is how often a registry that stumbles is asked, by runner: the engine has asked a few times by then.
const tries = 3

func (c Client) why(ctx context.Context, verb, name string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("cannot %s %s: %w", verb, name, context.Cause(ctx))
	}
	said := strings.TrimPrefix(strings.Join(strings.Fields(c.Host.Secrets.Scrubber.String(err.Error())), " "), "Error response from daemon: ")
	for _, t := range troubles {
		if !t.says.MatchString(said) {
			continue
		}
		if t.again {
			return &op.Again{Err: fmt.Errorf("cannot %s %s: %s", verb, name, said), Tries: tries}
		}
		return op.Hint(fmt.Errorf("cannot %s %s: %s: %s", verb, name, t.means, said), "%s", t.hint)
	}
	return fmt.Errorf("cannot %s %s: %s", verb, name, said)
}
