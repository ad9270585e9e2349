// Package registry has a Docker engine fetch images from registries and store them there, for whoever Docker's own
// configuration, or a script, says. The engine does the work and asks again where a layer is lost on the way: what is
// interrupted may be repeated, and takes up where it was. The package itself talks to no registry.
package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/jsonstream"
	api "github.com/moby/moby/api/types/registry"
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
	m, err := c.move(ctx, e, "pull", name, image)
	if err != nil {
		return "", err
	}
	options := client.ImagePullOptions{RegistryAuth: m.header}
	if platform != "" {
		options.Platforms = []ocispec.Platform{ParsePlatform(platform)}
	}
	return m.follow(ctx, within, func(ctx context.Context) (stream, error) { return e.ImagePull(ctx, name, options) })
}

// Push stores an image that the engine has in the registry that its name names.
func (c Client) Push(ctx context.Context, e *client.Client, name string, within time.Duration) (digest string, err error) {
	image, err := Parse(name)
	if err != nil {
		return "", err
	}
	if _, ok := image.(reference.Digested); ok {
		return "", errors.New("want a name with a tag: a digest says what an image is, and not where to store it")
	}
	m, err := c.move(ctx, e, "push", name, image)
	if err != nil {
		return "", err
	}
	if m.header == "" {
		m.header = "e30=" // {}: engines want one, of nobody too
	}
	return m.follow(ctx, within, func(ctx context.Context) (stream, error) {
		return e.ImagePush(ctx, name, client.ImagePushOptions{RegistryAuth: m.header})
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

// move is an image on its way.
type move struct {
	Client
	engine     *client.Client
	verb, name string
	auth       api.AuthConfig // for whom; nothing but the registry for nobody
	header     string         // the same, as the engine takes it
	until      time.Time
	again      map[string]int // by layer, in how many seconds the engine asks for it again; nil where all went well so far
}

func (c Client) move(ctx context.Context, e *client.Client, verb, name string, image reference.Named) (*move, error) {
	auth, err := c.auth(ctx, image)
	if err != nil {
		return nil, fmt.Errorf("cannot %s %s: %w", verb, name, err)
	}
	m := &move{Client: c, engine: e, verb: verb, name: name, auth: auth}
	if auth.Username != "" || auth.IdentityToken != "" {
		m.header, err = authconfig.Encode(auth)
	}
	return m, err
}

// follow has the engine do it, a few times where the registry stumbles and the engine does not ask again by itself.
func (m *move) follow(ctx context.Context, within time.Duration, begin func(context.Context) (stream, error)) (digest string, err error) {
	limited, cancel := m.Host.Clock.Timeout(ctx, within, fmt.Errorf("it took longer than %s", op.Duration(within)))
	defer cancel()
	m.until = m.Host.Clock.Now().Add(within)
	for n := 1; ; n++ {
		digest, err = m.once(limited, begin)
		if err == nil {
			return digest, nil
		}
		why, again := m.why(limited, err)
		if !again || n == tries || m.again != nil {
			return "", why
		}
		pause := time.Duration(n) * 2 * time.Second
		out := op.Output(ctx)
		fmt.Fprintf(out, "try %d of %d: %v\n", n, tries, why)
		out.Close()
		op.Waiting(ctx, "the registry to recover", m.Host.Clock.Now().Add(pause))
		if m.Host.Clock.Sleep(limited, pause) != nil {
			why, _ := m.why(limited, err)
			return "", why
		}
	}
}

// once shows how far the layers are, all taken together, and gives the digest that is told in the end.
func (m *move) once(ctx context.Context, begin func(context.Context) (stream, error)) (digest string, err error) {
	op.Waiting(ctx, "the engine to "+m.verb+" "+m.name, m.until)
	messages, err := begin(ctx)
	if err != nil {
		return "", err
	}
	moved := map[string]jsonstream.Progress{}
	for told, err := range messages.JSONMessages(ctx) {
		if err == nil && told.Error != nil {
			err = told.Error
		}
		if err == nil {
			err = m.stumbles(ctx, told)
		}
		if err != nil {
			return "", err
		}
		digest = cmp.Or(digestOf(told), digest)
		if told.Progress == nil || told.Progress.Total <= 0 || told.Status != "Downloading" && told.Status != "Pushing" {
			continue
		}
		moved[told.ID] = *told.Progress
		var done, total int64
		for _, p := range moved {
			done, total = done+min(p.Current, p.Total), total+p.Total
		}
		op.Progress(ctx, done, total, "bytes")
		op.Waiting(ctx, "the engine to "+m.verb+" "+m.name, m.until)
	}
	if digest == "" {
		return "", errors.New("the engine ends without a word of what it has")
	}
	return digest, ctx.Err()
}

// digestOf is the digest that an engine tells, "" where it tells none.
func digestOf(told jsonstream.Message) string {
	if told.Aux != nil {
		var aux struct{ Digest string }
		if json.Unmarshal(*told.Aux, &aux) == nil && aux.Digest != "" {
			return aux.Digest
		}
	}
	if found := digestPattern.FindStringSubmatch(told.Status); found != nil {
		return found[1]
	}
	return ""
}

// stumbles says that the engine asks again for a layer, for up to a minute and without a word of why. Where it is the
// login that the registry does not accept, that would be in vain: the first time this is asked for, by the engine.
func (m *move) stumbles(ctx context.Context, told jsonstream.Message) error {
	found := retryPattern.FindStringSubmatch(told.Status)
	if found == nil {
		return nil
	}
	first := m.again == nil
	if first {
		m.again = map[string]int{}
	}
	seconds, _ := strconv.Atoi(found[1])
	if seconds > m.again[told.ID] {
		out := op.Output(ctx)
		fmt.Fprintf(out, "the registry fails the engine, which tries to %s %s again in %s s\n", m.verb, told.ID, found[1])
		out.Close()
	}
	m.again[told.ID] = seconds
	if !first || m.header == "" { // pulled by nobody
		return nil
	}
	_, err := m.engine.RegistryLogin(ctx, client.RegistryLoginOptions{Username: m.auth.Username, Password: m.auth.Password, IdentityToken: m.auth.IdentityToken, ServerAddress: m.auth.ServerAddress})
	if err != nil && loginPattern.MatchString(err.Error()) {
		return err
	}
	return nil
}

var (
	retryPattern = regexp.MustCompile(`^Retrying in (\d+) second`)
	loginPattern = regexp.MustCompile(`(?i)unauthorized|authentication required|no basic auth credentials|incorrect username or password|status: 401`)
)

// troubles are what engines and registries say, and what to do about it. Theirs are texts: the engine passes them on.
var troubles = []struct {
	says  *regexp.Regexp
	means string
	hint  string
	again bool
}{
	{regexp.MustCompile(`HTTP response to HTTPS client`), "its registry speaks HTTP where HTTPS is wanted", "the engine's configuration lists registries without HTTPS: insecure-registries", false},
	{regexp.MustCompile(`x509:|tls:`), "the certificate of its registry is not trusted", "the engine trusts what lies in /etc/docker/certs.d/REGISTRY/ca.crt", false},
	{loginPattern, "its registry does not accept the login", "log in by docker login, or give username and password", false},
	{regexp.MustCompile(`(?i)access (?:to the resource )?(?:is )?denied|^denied|: denied|status: 403|insufficient_scope`), "its registry refuses it to this login, or has no such image", "log in by docker login, or give username and password; and look at the name", false},
	{regexp.MustCompile(`(?i)manifest unknown|manifest for .* not found|name unknown|not found: |status: 404|repository .* not found|no matching manifest`), "its registry has no such image", "look at the name and the tag", false},
	{regexp.MustCompile(`(?i)verification failed|digest .*(?:mismatch|not match)|content digest`), "what its registry gives is not what it should be", "its registry, or what stands before it, is damaged: push the image again, or have it looked at", false},
	{regexp.MustCompile(`(?i)no such host|server misbehaving|connection refused|network is unreachable|no route to host|i/o timeout|Temporary failure in name|context deadline exceeded|Client\.Timeout`), "the engine cannot reach its registry", "it is the engine that must reach it, not this machine", false},
	{regexp.MustCompile(`(?i)toomanyrequests|too many requests|status: 429`), "its registry has had too many requests", "registries count them by login and by address: log in, or wait", true},
	{regexp.MustCompile(`(?i)status: 5\d\d|HTTP status: 5\d\d`), "its registry has a fault of its own", "its log says which; what it has by now is not sent again", true},
	{regexp.MustCompile(`(?i)\bEOF\b|connection reset|broken pipe`), "the connection to its registry is cut", "look at the registry, and at what stands before it; what it has by now is not sent again", true},
}

// tries is how often a registry that stumbles is asked, by runner.
const tries = 3

// why is the error for people, and whether it may be another one soon.
func (m *move) why(ctx context.Context, err error) (why error, again bool) {
	if ctx.Err() != nil {
		return fmt.Errorf("cannot %s %s: %w", m.verb, m.name, context.Cause(ctx)), false
	}
	said := strings.TrimPrefix(strings.Join(strings.Fields(m.Host.Secrets.Scrubber.String(err.Error())), " "), "Error response from daemon: ")
	for _, t := range troubles {
		if t.says.MatchString(said) {
			return op.Hint(fmt.Errorf("cannot %s %s: %s: %s", m.verb, m.name, t.means, said), "%s", t.hint), t.again
		}
	}
	return fmt.Errorf("cannot %s %s: %s", m.verb, m.name, said), false
}
