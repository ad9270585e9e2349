package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/client"
)

// maxMeta is the size of a file of Docker's configuration that is read at most.
const maxMeta = 1 << 20

// endpoint is where an engine is, and the folder of the certificates that it wants.
type endpoint struct {
	address string
	certs   string // holds ca.pem, cert.pem and key.pem; "" without TLS
}

// find tells which engine an address means, in the order of the docker command: the address, DOCKER_HOST, the context
// that DOCKER_CONTEXT or the configuration names, the default socket.
func (p *Pool) find(address string) (endpoint, error) {
	at := endpoint{address: address}
	if at.address == "" {
		at.address = p.env("DOCKER_HOST")
	}
	if at.address != "" {
		at.certs = p.env("DOCKER_CERT_PATH")
		return at.sound()
	}
	name, err := p.context()
	if err != nil {
		return endpoint{}, err
	}
	if name == "" || name == "default" {
		return endpoint{address: client.DefaultDockerHost}, nil
	}
	at, err = p.named(name)
	if err != nil {
		return endpoint{}, err
	}
	return at.sound()
}

func (p *Pool) env(name string) string {
	for i := len(p.Host.Env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(p.Host.Env[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// Config is the folder of Docker's own configuration: DOCKER_CONFIG, or .docker in the home folder.
func (p *Pool) Config() string {
	if dir := p.env("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	return filepath.Join(p.env("HOME"), ".docker")
}

func (p *Pool) context() (string, error) {
	if name := p.env("DOCKER_CONTEXT"); name != "" {
		return name, nil
	}
	var config struct{ CurrentContext string }
	err := p.read(filepath.Join(p.Config(), "config.json"), &config)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return config.CurrentContext, err
}

// named is the endpoint of a Docker context, which lies in a folder named by the SHA-256 of its name.
func (p *Pool) named(name string) (endpoint, error) {
	dir := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	var meta struct {
		Endpoints map[string]struct{ Host string }
	}
	err := p.read(filepath.Join(p.Config(), "contexts", "meta", dir, "meta.json"), &meta)
	if errors.Is(err, fs.ErrNotExist) {
		return endpoint{}, op.Hint(fmt.Errorf("there is no Docker context %q", name), "DOCKER_CONTEXT, or currentContext in %s, names it", filepath.Join(p.Config(), "config.json"))
	}
	if err != nil {
		return endpoint{}, err
	}
	at := endpoint{address: meta.Endpoints["docker"].Host}
	certs := filepath.Join(p.Config(), "contexts", "tls", dir, "docker")
	if _, err := p.Host.Files.Stat(filepath.Join(certs, "ca.pem")); err == nil {
		at.certs = certs
	}
	return at, nil
}

func (p *Pool) read(path string, into any) error {
	b, err := host.ReadFile(p.Host.Files, path, maxMeta)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s is not JSON: %w", path, err)
	}
	return nil
}

// sound refuses an address that cannot be dialled.
func (at endpoint) sound() (endpoint, error) {
	scheme, _, _ := strings.Cut(at.address, "://")
	switch scheme {
	case "unix", "tcp", "http", "https":
		_, err := client.ParseHostURL(at.address)
		return at, err
	case "ssh":
		return at, op.Hint(fmt.Errorf("%s is reached by SSH, and no program is started for that", at.address),
			"forward its socket, and name that: ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock HOST, then engine = \"unix:///tmp/docker.sock\"")
	}
	return at, fmt.Errorf("want an address such as \"unix:///var/run/docker.sock\" or \"tcp://10.0.0.5:2376\", got %q", at.address)
}

// line dials an engine, and keeps why that failed: the client's own errors are text.
type line struct {
	address string
	failed  atomic.Pointer[error]
}

func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if path, ok := strings.CutPrefix(l.address, "unix://"); ok {
		network, address = "unix", path
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		l.failed.Store(&err)
	}
	return c, err
}

// cause is why dialling failed, or err where it did not.
func (l *line) cause(err error) error {
	if failed := l.failed.Load(); failed != nil {
		return *failed
	}
	return err
}

// options are how the client gets there.
func (at endpoint) options(l *line) ([]client.Opt, error) {
	options := []client.Opt{client.WithHost(at.address), client.WithDialContext(l.dial), client.WithUserAgent("runner")}
	if at.certs != "" {
		options = append(options, client.WithTLSClientConfig(filepath.Join(at.certs, "ca.pem"), filepath.Join(at.certs, "cert.pem"), filepath.Join(at.certs, "key.pem")))
	} else if strings.HasPrefix(at.address, "tcp://") && strings.HasSuffix(at.address, ":2376") {
		return nil, op.Hint(errors.New("port 2376 wants TLS, and no certificates are named"), "DOCKER_CERT_PATH names a folder with ca.pem, cert.pem and key.pem")
	}
	return options, nil
}
