package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"

	"github.com/erlmcp/runner/runtime/op"
	control "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"github.com/moby/buildkit/session/filesync"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/moby/client"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// dial opens the engine's BuildKit.
func dial(ctx context.Context, e *client.Client) (*grpc.ClientConn, error) {
	first, err := e.DialHijack(ctx, "/grpc", "h2c", nil)
	if err != nil {
		return nil, unsupported(ctx, e, err)
	}
	conns := make(chan net.Conn, 1)
	conns <- first
	again := func(ctx context.Context, _ string) (net.Conn, error) {
		select {
		case c := <-conns:
			return c, nil
		default:
			return e.DialHijack(ctx, "/grpc", "h2c", nil)
		}
	}
	return grpc.NewClient("passthrough:///engine", grpc.WithContextDialer(again), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
}

// maxMessage is the size of what BuildKit says at once at most: a Dockerfile comes back with its errors.
const maxMessage = 16 << 20

// unsupported is the error of an engine that answers and has no BuildKit.
func unsupported(ctx context.Context, e *client.Client, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ping := e.Ping(ctx, client.PingOptions{}); ping != nil {
		return fmt.Errorf("cannot reach the Docker engine at %s: %w", e.DaemonHost(), ping)
	}
	return op.Hint(fmt.Errorf("the engine at %s has no BuildKit: %w", e.DaemonHost(), err), "Docker for Linux 20.10 and newer has it; others cannot be built with")
}

// open starts the session by which the engine asks for the context, for secrets and for credentials. It ends with close.
func (b *build) open(ctx context.Context) (s *session.Session, stop func(), err error) {
	key := "runner:" + b.tree.dir // the engine keeps what was sent under this name, and asks for what has changed
	if s, err = session.NewSession(ctx, key); err != nil {
		return nil, nil, err
	}
	s.Allow(filesync.NewFSSyncProvider(filesync.StaticDirSource{"context": b.tree, "dockerfile": single{b.file}}))
	s.Allow(secretsprovider.NewSecretProvider(b))
	s.Allow(credentials{Auth: b.Auth})
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.Run(ctx, func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return b.engine.DialHijack(ctx, "/session", proto, meta)
		})
	}()
	return s, func() { s.Close(); <-over }, nil
}

// GetSecret gives the engine a secret, at the moment when a step mounts it.
func (b *build) GetSecret(ctx context.Context, id string) ([]byte, error) {
	text, ok := b.Secrets[id]
	if !ok {
		return nil, status.Errorf(codes.NotFound, "secret %s not found", id)
	}
	value, err := b.host.Secrets.RevealIn(ctx, text)
	return []byte(value), err
}

// credentials answers for whom an image of a registry is had. Tokens are the engine's own to fetch.
type credentials struct {
	auth.UnimplementedAuthServer
	Auth func(ctx context.Context, registry string) (username, password string, err error)
}

// Register implements session.Attachable.
func (c credentials) Register(s *grpc.Server) { auth.RegisterAuthServer(s, c) }

// Credentials implements auth.AuthServer.
func (c credentials) Credentials(ctx context.Context, r *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	if c.Auth == nil {
		return &auth.CredentialsResponse{}, nil
	}
	username, password, err := c.Auth(ctx, r.Host)
	if err != nil {
		return nil, err
	}
	return &auth.CredentialsResponse{Username: username, Secret: password}, nil
}

// single is a folder with one file in it: the Dockerfile as it was read.
type single struct{ *dockerfile }

var _ fsutil.FS = single{}

// Open implements fsutil.FS.
func (s single) Open(name string) (io.ReadCloser, error) {
	if name != s.base() {
		return nil, fs.ErrNotExist
	}
	return s.reader(), nil
}

// Walk implements fsutil.FS.
func (s single) Walk(_ context.Context, target string, fn fs.WalkDirFunc) error {
	if target = filepath.Clean("/" + target)[1:]; target != "" && target != s.base() {
		return nil
	}
	err := fn(s.base(), &fsutil.DirEntryInfo{Stat: &types.Stat{Path: s.base(), Mode: 0o644, Size: int64(len(s.text))}}, nil)
	if errors.Is(err, filepath.SkipDir) {
		return nil
	}
	return err
}

// request is what is asked of BuildKit.
func (b *build) request(ref, session string) *control.SolveRequest {
	attrs := map[string]string{"filename": b.file.base()}
	for name, value := range map[string]string{"target": b.Target, "platform": b.Platform, "force-network-mode": b.Network} {
		if value != "" {
			attrs[name] = value
		}
	}
	for name, value := range b.Args {
		attrs["build-arg:"+name] = value
	}
	for name, value := range b.labels() {
		attrs["label:"+name] = value
	}
	if !b.Cache {
		attrs["no-cache"] = ""
	}
	r := &control.SolveRequest{Ref: ref, Session: session, Frontend: "dockerfile.v0", FrontendAttrs: attrs, Cache: &control.CacheOptions{},
		ExporterDeprecated: "moby", Exporters: []*control.Exporter{{Type: "moby"}}}
	if b.Network == "host" {
		r.Entitlements = []string{"network.host"}
	}
	for _, from := range b.CacheFrom {
		r.Cache.Imports = append(r.Cache.Imports, &control.CacheOptionsEntry{Type: "registry", Attrs: map[string]string{"ref": from}})
	}
	return r
}
