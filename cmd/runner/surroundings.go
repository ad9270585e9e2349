//go:build !windows

package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins"
	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/compose/register"
	"github.com/erlmcp/runner/builtins/docker/daemon"
	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/builtins/home"
	"github.com/erlmcp/runner/builtins/kube"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/connect"
	records "github.com/erlmcp/runner/builtins/kube/register"
	"github.com/erlmcp/runner/builtins/project"
	"github.com/erlmcp/runner/builtins/record"
	secrets "github.com/erlmcp/runner/builtins/secret"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
	"github.com/erlmcp/runner/scripts"
)

// surroundings are what a command works with: the host, and the ops on it.
type surroundings struct {
	host     *host.Host
	families []builtin.Family
	registry *op.Registry
	engines  *daemon.Pool  // for what lies with Compose projects
	clusters *connect.Pool // and with what is on clusters
	state    string
	id       string
}

// newID is a run's id: the time, for people, and 20 random bits.
func newID(now time.Time) string {
	var b [3]byte
	rand.Read(b[:])
	return now.UTC().Format("20060102t150405") + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(b[:])[:4])
}

// surround makes the host for a project. Nothing is written.
func (p *program) surround(dir, state string) (*surroundings, error) {
	boot, err := host.BootID()
	if err != nil {
		return nil, fmt.Errorf("cannot tell this boot of the machine from others: %w", err)
	}
	if state == "" {
		state = filepath.Join(dir, ".runner")
	} else if !filepath.IsAbs(state) {
		state = filepath.Join(p.dir, state)
	}
	s := &surroundings{state: state, id: newID(p.now())}
	s.host = p.wrap(&host.Host{
		Files: host.Shared{FS: host.OS{}, Except: state}, Procs: host.Linux{Boot: boot, Mask: p.mask}, Net: host.Internet{}, Clock: host.SystemClock{},
		Project: dir, Standard: scripts.FS, Scratch: filepath.Join(state, "scratch", s.id), Env: p.env, Boot: boot,
	})
	s.host.Secrets = &secret.Vault{Getenv: p.getenv, ReadFile: secretFile(s.host), Run: secrets.Program(s.host), Scrubber: &secret.Scrubber{}}
	s.engines, s.clusters = daemon.NewPool(s.host), connect.NewPool(s.host)
	s.families = builtins.Families(s.host, s.engines, s.clusters)
	s.registry, err = builtins.Registry(s.families)
	return s, err
}

func (p *program) getenv(name string) (string, bool) {
	for i := len(p.env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(p.env[i], name+"="); ok {
			return v, true
		}
	}
	return "", false
}

// maxSecret is the largest secret that is read from a file, in bytes.
const maxSecret = 64 << 10

// secretFile reads a secret's file, which nobody but its owner may be able to read.
func secretFile(h *host.Host) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		info, err := h.Files.Stat(h.Abs(name))
		if err != nil {
			return nil, err
		}
		if info.Mode().Perm()&0o077 != 0 {
			return nil, op.Hint(fmt.Errorf("its mode is %04o: others may read it", info.Mode().Perm()), "chmod 0600 %s", h.Abs(name))
		}
		return host.ReadFile(h.Files, h.Abs(name), maxSecret)
	}
}

var heldSecret = regexp.MustCompile(`"secret":\{"env":"(\w+)"`)

// conceal makes the scrubber know, before anything can say them, the variables that an environment holds as secrets,
// whatever made their names, and what its service was started with.
func (s *surroundings) conceal(p *program, env any) {
	e, ok := env.(project.Environment)
	if !ok {
		return
	}
	wire, _ := s.registry.EncodeValue(e)
	for _, m := range heldSecret.FindAllSubmatch(wire, -1) {
		if value, ok := p.getenv(string(m[1])); ok {
			s.host.Secrets.Conceal(string(m[1]), value)
		}
	}
	if t, ok := e.Target.(project.Host); ok {
		driver.Conceal(s.host, s.host.Abs(t.Root))
	}
}

// home finds where a target keeps its lease and its undo logs.
func (s *surroundings) home(target any) (string, journal.Home, error) {
	switch t := target.(type) {
	case project.Host:
		root := journal.Root{Files: s.host.Files, Path: s.host.Abs(t.Root)}
		return root.Target(), root, nil
	case stack.Project:
		return t.Target(), composeHome(s.engines, t), nil
	case cluster.Cluster:
		return t.Target(), clusterHome(s.clusters, t), nil
	}
	return "", nil, fmt.Errorf("cannot take the lease of a %T: this runner knows no such target", target)
}

// composeHome is the home of a Compose project: the engine that it runs on.
func composeHome(engines *daemon.Pool, p stack.Project) home.Home {
	return home.Home{Target: p.Target(), Server: "the Docker engine", Host: engines.Host, Open: func(ctx context.Context) (record.Register, error) {
		engine, err := engines.Open(ctx, p.Engine)
		if err != nil {
			return nil, err
		}
		return &register.Register{Engine: engine.Client, Project: p.Name, Clock: engines.Host.Clock}, nil
	}}
}

// clusterHome is the home of a set of objects on a cluster: its state namespace.
func clusterHome(clusters *connect.Pool, c cluster.Cluster) home.Home {
	return home.Home{Target: c.Target(), Server: "the cluster", Host: clusters.Host, Open: func(ctx context.Context) (record.Register, error) {
		conn, err := clusters.Open(ctx, c)
		if err != nil {
			return nil, err
		}
		reg := records.New(conn, c.State(), c.Name)
		reg.Explain = func(ctx context.Context, err error) error {
			if !api.IsForbidden(err) {
				return err
			}
			return cmp.Or(kube.Entitled(ctx, clusters.Host, conn, c), err)
		}
		return reg, nil
	}}
}

// journals is the history of this machine's runs.
func (s *surroundings) journals() journal.Local {
	return journal.Local{FS: s.host.Files, Dir: filepath.Join(s.state, "runs")}
}

// makeState makes the state directory, which git is told to leave alone.
func (s *surroundings) makeState() error {
	err := host.MkdirAll(s.host.Files, s.state, 0o700)
	if err == nil {
		err = s.ignore(filepath.Join(s.state, ".gitignore"))
	}
	if err != nil {
		return op.Hint(fmt.Errorf("cannot make the state directory %s: %w", s.state, err), "--state DIR keeps it elsewhere")
	}
	return nil
}

// ignore writes the same bytes to the same place whoever does it: runs that start together have no lease between them.
func (s *surroundings) ignore(name string) error {
	if info, err := s.host.Files.Lstat(name); err == nil && info.Size() > 0 {
		return nil
	}
	f, err := s.host.Files.Open(name, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte("*\n"))
	return errors.Join(err, f.Close())
}

func (p *program) owner(script string) journal.Owner {
	name := "uid " + fmt.Sprint(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	machine, _ := os.Hostname()
	return journal.Owner{User: name, Host: machine, PID: os.Getpid(), Script: script}
}
