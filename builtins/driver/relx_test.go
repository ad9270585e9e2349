package driver

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// script stands for the start script of relx: it says what it was started with, or answers.
const script = `#!/bin/sh
case "$1" in
foreground) echo "up $NODE_NAME $PORT $RELX_OUT_FILE_PATH"; trap 'echo down; exit 0' TERM; while :; do sleep 0.01; done;;
ping) test "$NODE_NAME" = app -a "$NODE_COOKIE" = "$RELX_COOKIE" && echo pong;;
rpc) shift; echo "$*";;
*) echo "no command $1" >&2; exit 1;;
esac
`

// relxPlace is a root whose release looks like one of relx.
func relxPlace(t testing.TB, args string) *place {
	t.Helper()
	p := newPlace(t)
	dir := filepath.Join(p.root, "releases", "000001")
	p.must(os.WriteFile(filepath.Join(dir, "bin", "app"), []byte(script), 0o755))
	p.must(os.MkdirAll(filepath.Join(dir, "releases", "1.0"), 0o755))
	p.must(os.WriteFile(filepath.Join(dir, "releases", "start_erl.data"), []byte("13.1.5 1.0\n"), 0o644))
	if args != "" {
		p.must(os.WriteFile(filepath.Join(dir, "releases", "1.0", "vm.args.src"), []byte(args), 0o644))
	}
	return p
}

func relx(t testing.TB) Relx {
	t.Helper()
	return Relx{Name: "app", Port: hosttest.Port(t), Grace: op.Duration(5 * time.Second)}
}

func (p *place) startUnit(u Unit) Running {
	p.t.Helper()
	digest, err := Store(p.h, p.root, u)
	p.must(err)
	p.must(Start(p.t.Context(), p.h, p.root, digest))
	return p.current()
}

func TestRelx(t *testing.T) {
	p, s := relxPlace(t, ""), relx(t)
	u, err := s.Unit(p.h, p.root, "000001", "r/1")
	p.must(err)
	r := p.startUnit(u)
	generated := filepath.Join(p.root, "shared", "run", "000001")
	if said := p.logs("up"); !strings.Contains(said, "up app ") || !strings.Contains(said, generated) {
		t.Errorf("it says %q", said)
	}
	for _, dir := range []string{generated, filepath.Join(p.root, "shared", "log")} {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			t.Errorf("%s: %v", dir, err)
		}
	}
	p.h.Env[1] = "HOME=/home/somebody-else"
	if same, err := r.As(p.h, p.root, s); !same || err != nil {
		t.Errorf("it was not started as it says: %v", err)
	}
	if same, err := r.As(p.h, p.root, s.With(map[string]secret.Text{"A": secret.Plain("1")}, "")); same || err != nil {
		t.Errorf("another variable is not seen: %v", err)
	}
	cookie, err := os.ReadFile(filepath.Join(p.root, ".runner", "home", ".erlang.cookie"))
	if err != nil || !slices.Contains(u.Env, "NODE_COOKIE="+string(cookie)) || !slices.Contains(u.Env, "HOME="+filepath.Join(p.root, ".runner", "home")) {
		t.Errorf("its cookie is %q in its home, %v: %q", cookie, err, u.Env)
	}
	if info, err := os.Stat(filepath.Join(u.Home, ".erlang.cookie")); err != nil || info.Mode() != 0o400 {
		t.Errorf("the cookie: %v, %v; OTP takes only one that is its user's alone", info, err)
	}
	if answer, err := r.Ask(t.Context(), p.h, "ping"); answer != "pong" || err != nil {
		t.Errorf("ping: %q, %v", answer, err)
	}
	if answer, err := r.Ask(t.Context(), p.h, "rpc", "erlang", "node", "[]"); answer != "erlang node []" || err != nil {
		t.Errorf("rpc: %q, %v", answer, err)
	}
	if _, err := r.Ask(t.Context(), p.h, "dance"); err == nil || !strings.Contains(err.Error(), "bin/app dance: exit 1: no command dance") {
		t.Errorf("a command that fails: %v", err)
	}
	p.must(Stop(t.Context(), p.h, p.root, r))
	p.logs("down") // it was asked, not killed
	if _, err := p.current().Ask(t.Context(), p.h, "ping"); err == nil {
		t.Error("a node that has ended is asked")
	}
}

// A target keeps one cookie: tools that attach to a node work across releases, and two targets never share one.
func TestCookie(t *testing.T) {
	p, q := relxPlace(t, ""), relxPlace(t, "")
	cookie := func(p *place, x Relx) string {
		t.Helper()
		u, err := x.Unit(p.h, p.root, "000001", "r/1")
		p.must(err)
		_, err = Store(p.h, p.root, u)
		p.must(err)
		i := slices.IndexFunc(u.Env, func(kv string) bool { return strings.HasPrefix(kv, "NODE_COOKIE=") })
		return strings.TrimPrefix(u.Env[i], "NODE_COOKIE=")
	}
	first := cookie(p, relx(t))
	if len(first) < 20 || cookie(p, relx(t)) != first {
		t.Errorf("%q, then %q", first, cookie(p, relx(t)))
	}
	if cookie(q, relx(t)) == first {
		t.Error("two targets share a cookie")
	}
	info, err := os.Stat(filepath.Join(p.root, ".runner", "cookie"))
	if p.must(err); info.Mode() != 0o600 {
		t.Errorf("the cookie's file is %s", info.Mode())
	}
	given := relx(t)
	given.Cookie = secret.Env("COOKIE")
	if got := cookie(p, given); got != "canary-COOKIE" {
		t.Errorf("given, it is %q", got)
	}
}

func TestConfiguration(t *testing.T) {
	p := relxPlace(t, "")
	dir := filepath.Join(p.root, "releases", "000001", ConfigDir)
	p.must(os.Mkdir(dir, 0o755))
	p.must(os.WriteFile(filepath.Join(dir, "production.config"), nil, 0o644))
	for name, s := range map[string]Service{"RELX_CONFIG_PATH": relx(t), "CONFIG_FILE": process("bin/app")} {
		u, err := s.Unit(p.h, p.root, "000001", "r/1")
		if p.must(err); !slices.Contains(u.Env, name+"="+filepath.Join(dir, "production.config")) {
			t.Errorf("%s is not in %q", name, u.Env)
		}
	}
}

func TestWith(t *testing.T) {
	p := relxPlace(t, "")
	for _, s := range []Service{relx(t), process("bin/app"), Systemd{Name: "app.service"}} {
		more := s.With(map[string]secret.Text{"A": secret.Plain("1")}, "daemon").With(map[string]secret.Text{"B": secret.Plain("2")}, "")
		u, err := more.Unit(p.h, p.root, "000001", "r/1")
		if p.must(err); !slices.Contains(u.Env, "A=1") || !slices.Contains(u.Env, "B=2") || u.User != "daemon" {
			t.Errorf("%s: %q, %q", s.Kind(), u.Env, u.User)
		}
		if u, err := s.Unit(p.h, p.root, "000001", "r/1"); err != nil || slices.Contains(u.Env, "A=1") {
			t.Errorf("%s has changed: %q, %v", s.Kind(), u.Env, err)
		}
	}
}

const apartArgs = "-sname ${NODE_NAME}\n-setcookie ${NODE_COOKIE}\n"

func TestRehearsalIsApart(t *testing.T) {
	trial := func(p *place) Trial {
		return Trial{Dir: filepath.Join(p.root, "releases", "000001"), Scratch: t.TempDir(), Port: 18, Dist: 19, Name: "trial", Secret: "s3cret"}
	}
	bare := relxPlace(t, "-sname ${NODE_NAME}\n")
	if u, err := relx(t).Rehearsal(bare.h, trial(bare)); err != nil || u.Home == "" || !strings.HasPrefix(u.Home, filepath.Dir(u.Private)) {
		t.Errorf("without a cookie in vm.args: %q, %v", u.Home, err)
	}
	long := relxPlace(t, strings.ReplaceAll(apartArgs, "-sname", "-name"))
	if u, err := relx(t).Rehearsal(long.h, trial(long)); err != nil || !slices.Contains(u.Env, "NODE_NAME=trial@127.0.0.1") {
		t.Errorf("a long name: %q, %v", u.Env, err)
	}
	p := relxPlace(t, apartArgs)
	to := trial(p)
	for _, s := range []Service{relx(t), Systemd{Name: "app.service", Port: 8080}} {
		u, err := s.Rehearsal(p.h, to)
		p.must(err)
		for _, want := range []string{"PORT=18", "ERL_DIST_PORT=19", "NODE_NAME=trial", "NODE_COOKIE=s3cret", "RELX_COOKIE=s3cret",
			"RELX_OUT_FILE_PATH=" + to.Scratch + "/run", "RUNNER_LOG_DIR=" + to.Scratch + "/log", "PIPE_DIR=" + to.Scratch + "/pipe/"} {
			if !slices.Contains(u.Env, want) {
				t.Errorf("%s: no %s in %q", s.Kind(), want, u.Env)
			}
		}
		if u.Systemd != nil {
			t.Error("systemd runs a trial")
		}
	}
	for name, c := range map[string]struct{ args, want string }{
		"no vm.args.src": {"", "has no vm.args.src"},
		"fixed name":     {"-sname app\n-setcookie ${NODE_COOKIE}\n", "does not use ${NODE_NAME}"},
		"fixed cookie":   {"-sname ${NODE_NAME}\n-setcookie app\n", "has a cookie of its own"},
		"a comment":      {"# -sname ${NODE_NAME}\n-sname app\n-setcookie ${NODE_COOKIE}\n", "does not use ${NODE_NAME}"},
	} {
		p := relxPlace(t, c.args)
		if _, err := relx(t).Rehearsal(p.h, trial(p)); err == nil || !strings.Contains(err.Error(), c.want) || op.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, s := range []Service{Relx{Name: "app"}, process("bin/app")} {
		if _, err := s.Rehearsal(p.h, to); err == nil || !strings.Contains(err.Error(), "without a port") {
			t.Errorf("%s without a port: %v", s.Kind(), err)
		}
	}
}
