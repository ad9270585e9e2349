package driver

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Relx runs an Erlang release made by relx, through its own start script, in the foreground of a session of its own: the
// process that is on record is the node (decision 0007).
type Relx struct {
	_            op.Doc                 `doc:"A service that is an Erlang release made by relx, started in the foreground by its own script bin/NAME and ended by SIGTERM, which OTP answers with init:stop(). Its vm.args.src reads NODE_NAME, its sys.config.src PORT. The cookie is a file, HOME/.erlang.cookie, which OTP reads where vm.args has no -setcookie; one with -setcookie ${NODE_COOKIE} shows it to every user of the machine, in the list of processes. Nothing restarts it after a crash or a boot, so a protected environment takes it only with unsupervised = True."`
	Name         string                 `json:"name" doc:"The release's name: its script is bin/NAME."`
	Port         int                    `json:"port,omitempty" doc:"The TCP port that it listens on, told to it as PORT; it must be free at the start."`
	Node         string                 `json:"node,omitempty" doc:"The node's name, told to it as NODE_NAME; the release's when left out."`
	Cookie       secret.Text            `json:"cookie,omitzero" doc:"The node's cookie, told to it as the file HOME/.erlang.cookie and as NODE_COOKIE; one of its own, kept on the target, when left out."`
	Env          map[string]secret.Text `json:"env,omitempty" doc:"More environment variables; secrets may stand here."`
	Grace        op.Duration            `json:"grace,omitempty" doc:"How long it may take to end before it is killed."`
	Unsupervised bool                   `json:"unsupervised,omitempty" doc:"Accept in a protected environment that nothing restarts it."`
	User         string                 `json:"user,omitempty" script:"-"`
}

func (Relx) driver() {}

// Kind implements Service.
func (Relx) Kind() string { return "relx" }

// Listens implements Service.
func (x Relx) Listens() int { return x.Port }

// Supervised implements Service.
func (x Relx) Supervised() bool { return x.Unsupervised }

// With implements Service.
func (x Relx) With(env map[string]secret.Text, user string) Service {
	x.Env, x.User = merged(x.Env, env), cmp.Or(user, x.User)
	return x
}

var relxName = regexp.MustCompile(`^[a-z][A-Za-z0-9_]*$`)

// nodeName is a node's name, with or without its host.
var nodeName = regexp.MustCompile(`^[A-Za-z0-9_-]+(@[A-Za-z0-9_.-]+)?$`)

// Check implements op.Checked.
func (x Relx) Check() error {
	switch {
	case !relxName.MatchString(x.Name):
		return fmt.Errorf(`name: want the name of a release such as "erlmcp", got %q`, x.Name)
	case x.Node != "" && !nodeName.MatchString(x.Node):
		return fmt.Errorf(`node: want a name such as "erlmcp" or "erlmcp@127.0.0.1", got %q`, x.Node)
	}
	return checkPort(x.Port)
}

// Unit implements Service. What the script generates and the node logs goes to shared: the release stays what was
// installed.
func (x Relx) Unit(h *host.Host, root, release string, key op.Key) (Unit, error) {
	root = h.Abs(root)
	u := Unit{Release: release, Dir: filepath.Join(root, "releases", release), Port: x.Port, Key: key, User: x.User}
	cookie, made, err := x.cookie(h, root)
	if err != nil {
		return u, err
	}
	if made {
		u.cookie = cookie
	}
	return x.resolve(h, u, node{name: named(h, u.Dir, cmp.Or(x.Node, x.Name)), cookie: cookie, config: configuration(h, u.Dir),
		home: dir(root, "home"), generated: filepath.Join(root, "shared", "run", release), logs: filepath.Dir(LogPath(root))})
}

// Rehearsal implements Service. The trial has a name, a cookie, ports and folders of its own, and starts no epmd: it cannot
// talk to the node that runs, nor be taken for it.
func (x Relx) Rehearsal(h *host.Host, t Trial) (Unit, error) {
	if x.Port == 0 {
		return Unit{}, op.Hint(errors.New("cannot rehearse a release without a port: it would answer where the one that runs does"),
			"say relx(..., port = N): it is told its port as PORT")
	}
	if err := x.apart(h, t.Dir); err != nil {
		return Unit{}, err
	}
	u := Unit{Dir: t.Dir, Port: t.Port, User: x.User}
	u, err := x.resolve(h, u, node{name: named(h, t.Dir, t.Name), cookie: t.Secret, config: t.Config,
		home: filepath.Join(t.Scratch, "home"), generated: filepath.Join(t.Scratch, "run"), logs: filepath.Join(t.Scratch, "log")})
	u.Env = append(u.Env, "ERL_DIST_PORT="+strconv.Itoa(t.Dist), "PIPE_DIR="+filepath.Join(t.Scratch, "pipe")+"/")
	return u, err
}

const cookieVariable = "NODE_COOKIE="

// node is what makes two nodes of one release different.
type node struct{ name, cookie, config, home, generated, logs string }

func (x Relx) resolve(h *host.Host, u Unit, n node) (Unit, error) {
	u.Argv, u.Signal, u.Grace = []string{"bin/" + x.Name, "foreground"}, "SIGTERM", x.Grace
	u.Home, u.Private, u.Logs = n.home, n.generated, n.logs // generated vm.args may hold the cookie too
	own := append(portVariable(u.Port), "HOME="+n.home, "NODE_NAME="+n.name, cookieVariable+n.cookie, "RELX_COOKIE="+n.cookie,
		"RELX_REPLACE_OS_VARS=true", "RELX_OUT_FILE_PATH="+n.generated, "RUNNER_LOG_DIR="+n.logs,
		"ERL_CRASH_DUMP="+filepath.Join(n.logs, "erl_crash.dump"))
	if n.config != "" {
		own = append(own, "RELX_CONFIG_PATH="+n.config)
	}
	if err := u.environ(h, own, x.Env); err != nil {
		return u, err
	}
	u.Secrets = append(u.Secrets, Secret{"NODE_COOKIE", n.cookie})
	u.conceal(h)
	return u, u.startable(h)
}

const apartHint = `let vm.args.src say "-sname ${NODE_NAME}" and no -setcookie, or say rehearse = False`

// apart makes sure that a node of the release takes its name and cookie from its environment.
func (x Relx) apart(h *host.Host, dir string) error {
	args, err := arguments(h, dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("the release has no vm.args.src, and without it a node has the name of the one that runs")
	}
	if err != nil {
		return op.Hint(fmt.Errorf("cannot rehearse: %w", err), apartHint)
	}
	named := slices.ContainsFunc(args, func(line string) bool { return strings.HasPrefix(line, "-") && strings.Contains(line, "${NODE_NAME") })
	if !named {
		return op.Hint(errors.New("cannot rehearse: vm.args.src does not use ${NODE_NAME}, and the trial could meet the node that runs"), apartHint)
	}
	if slices.ContainsFunc(args, func(line string) bool {
		return strings.HasPrefix(line, "-setcookie") && !strings.Contains(line, "${NODE_COOKIE")
	}) {
		return op.Hint(errors.New("cannot rehearse: vm.args.src has a cookie of its own, and the trial could meet the node that runs"), apartHint)
	}
	return nil
}

// arguments are the lines of the vm.args.src of a release.
func arguments(h *host.Host, dir string) ([]string, error) {
	_, version, err := starts(h, dir)
	if err != nil {
		return nil, err
	}
	args, err := host.ReadFile(h.Files, filepath.Join(dir, "releases", version, "vm.args.src"), maxRecord)
	return strings.Split(string(args), "\n"), err
}

// starts are the versions of the runtime system and of itself that a release starts.
func starts(h *host.Host, dir string) (erts, version string, err error) {
	b, err := host.ReadFile(h.Files, filepath.Join(dir, "releases", "start_erl.data"), 1024)
	if err != nil {
		return "", "", fmt.Errorf("it is no release of relx: %w", err)
	}
	words := strings.Fields(string(b))
	if len(words) != 2 || !filepath.IsLocal(words[0]) || !filepath.IsLocal(words[1]) {
		return "", "", errors.New("releases/start_erl.data names no version")
	}
	return words[0], words[1], nil
}

// named is a node's name as its vm.args.src wants it: a long one has a host.
func named(h *host.Host, dir, name string) string {
	args, err := arguments(h, dir)
	long := func(line string) bool { return strings.HasPrefix(line, "-name ") }
	if err == nil && slices.ContainsFunc(args, long) && !strings.Contains(name, "@") {
		return name + "@127.0.0.1"
	}
	return name
}

// cookie is the one that the script names, else the target's own, else one that is new: Store keeps that.
func (x Relx) cookie(h *host.Host, root string) (cookie string, made bool, err error) {
	if given, err := h.Secrets.Reveal(x.Cookie); err != nil || given != "" {
		return given, false, err
	}
	b, err := host.ReadFile(h.Files, dir(root, "cookie"), 256)
	switch {
	case err == nil:
		return strings.TrimSpace(string(b)), false, nil
	case errors.Is(err, fs.ErrNotExist):
		return rand.Text(), true, nil
	}
	return "", false, fmt.Errorf("cannot read the node's cookie: %w", err)
}
