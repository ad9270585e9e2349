package registry

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
	api "github.com/moby/moby/api/types/registry"
)

// hub is what Docker's own configuration calls its public registry.
const hub = "https://index.docker.io/v1/"

// patience is how long a program that keeps credentials may take: some ask a person.
const patience = time.Minute

// Client has images fetched and stored for whoever is logged in.
type Client struct {
	Host   *host.Host
	Config string // the folder of Docker's configuration

	// Ask runs a program that keeps credentials, with a registry's name to read; said is what it prints, ended how it
	// failed, "" where it did not.
	Ask func(ctx context.Context, argv []string, registry string, within time.Duration) (said, ended string, err error)

	// Username and Password go before what Docker's configuration says. An empty Username is no login.
	Username string
	Password secret.Text
}

// config is what is read of Docker's config.json.
type config struct {
	Auths map[string]struct {
		Auth, Username, Password, IdentityToken string
	}
	CredsStore string
}

// login is who an image is had for; its zero value is nobody.
type login struct{ username, password, token string }

// Login gives for whom images of a registry are had, for BuildKit; "" for nobody. Where the password is a token, the
// username is empty.
func (c Client) Login(ctx context.Context, registry string) (username, password string, err error) {
	l, err := c.login(ctx, registry)
	if l.token != "" {
		return "", l.token, err
	}
	return l.username, l.password, err
}

func (c Client) login(ctx context.Context, registry string) (login, error) {
	if c.Username != "" {
		password, err := c.Host.Secrets.RevealIn(ctx, c.Password)
		return login{username: c.Username, password: password}, err
	}
	key := registry
	if key == "docker.io" || key == "registry-1.docker.io" || key == "index.docker.io" {
		key = hub
	}
	path := filepath.Join(c.Config, "config.json")
	b, err := host.ReadFile(c.Host.Files, path, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return login{}, nil
	}
	if err != nil {
		return login{}, err
	}
	var cfg config
	if err := json.Unmarshal(b, &cfg); err != nil {
		return login{}, fmt.Errorf("%s is not JSON: %w", path, err)
	}
	var own map[string]json.RawMessage
	programs := map[string]string{}
	if json.Unmarshal(b, &own); own[perRegistry] != nil {
		if err := json.Unmarshal(own[perRegistry], &programs); err != nil {
			return login{}, fmt.Errorf("%s: %s: %w", path, perRegistry, err)
		}
	}
	program := cmp.Or(programs[registry], programs[key], cfg.CredsStore)
	if program != "" {
		l, err := c.ask(ctx, program, key)
		if err != nil || l != (login{}) {
			return l, err
		}
	}
	for name, a := range cfg.Auths {
		if name != key && bare(name) != bare(key) {
			continue
		}
		l := login{a.Username, a.Password, a.IdentityToken}
		if a.Auth != "" {
			text, err := base64.StdEncoding.DecodeString(a.Auth)
			user, password, ok := strings.Cut(string(text), ":")
			if err != nil || !ok {
				return login{}, fmt.Errorf("%s: the auth of %s is not base64 of NAME:PASSWORD", path, name)
			}
			l.username, l.password = user, strings.TrimRight(password, "\x00")
		}
		c.hide(registry, l)
		return l, nil
	}
	return login{}, nil
}

// perRegistry is Docker's name for the programs that keep the credentials of one registry each.
const perRegistry = "credHelp" + "ers"

// bare is a registry's name without what configurations of old have around it.
func bare(name string) string {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://")
	name, _, _ = strings.Cut(name, "/")
	return name
}

// hide makes a password print as what it is of.
func (c Client) hide(registry string, l login) {
	c.Host.Secrets.Scrubber.Add("password of "+registry, l.password)
	c.Host.Secrets.Scrubber.Add("token of "+registry, l.token)
}

var programName = regexp.MustCompile(`^[\w.-]+$`)

// ask has a program that keeps credentials tell them: it reads the registry's name, and prints JSON.
func (c Client) ask(ctx context.Context, name, registry string) (login, error) {
	if !programName.MatchString(name) {
		return login{}, fmt.Errorf("docker's configuration names a program that cannot be: docker-credential-%q", name)
	}
	argv := []string{"docker-credential-" + name, "get"}
	said, ended, err := c.Ask(ctx, argv, registry, patience)
	switch {
	case err != nil && ctx.Err() == nil:
		return login{}, op.Hint(fmt.Errorf("cannot ask for the password of %s: %w", registry, err), "%s names %s; install it, or log in without it", filepath.Join(c.Config, "config.json"), argv[0])
	case err != nil:
		return login{}, err
	case ended != "" && strings.Contains(said, "credentials not found"):
		return login{}, nil
	case ended != "" && strings.Contains(said, "{"): // it may be the password
		said = "what it prints is not shown"
		fallthrough
	case ended != "":
		return login{}, fmt.Errorf("cannot ask %s for the password of %s: %s: %s", argv[0], registry, ended, strings.Join(strings.Fields(said), " "))
	}
	var told struct{ Username, Secret string }
	if err := json.Unmarshal([]byte(said), &told); err != nil {
		return login{}, fmt.Errorf("cannot ask %s for the password of %s: what it prints is not JSON", argv[0], registry)
	}
	l := login{username: told.Username, password: told.Secret}
	if told.Username == "<token>" {
		l = login{token: told.Secret}
	}
	c.hide(registry, l)
	return l, nil
}

// auth is for whom an image is had; nothing but the registry for nobody.
func (c Client) auth(ctx context.Context, image reference.Named) (api.AuthConfig, error) {
	registry := reference.Domain(image)
	l, err := c.login(ctx, registry)
	if registry == "docker.io" {
		registry = hub
	}
	return api.AuthConfig{Username: l.username, Password: l.password, IdentityToken: l.token, ServerAddress: registry}, err
}
