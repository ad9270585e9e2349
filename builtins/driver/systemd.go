package driver

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Systemd is a service that systemd runs.
type Systemd struct {
	_     op.Doc                 `doc:"A service that systemd runs, and starts again after a crash and at boot. Its unit file is runner's: runner setup writes it, and a deployment by root keeps it as it must be. Who deploys need not be root, nor the user that it runs as; a rehearsal is theirs then."`
	Name  string                 `json:"unit" doc:"The unit's name, such as erlmcp.service."`
	Argv  []string               `json:"argv,omitempty" doc:"The program, seen from the release, and its arguments; bin/NAME foreground, NAME being the unit's, when left out."`
	Port  int                    `json:"port,omitempty" doc:"The TCP port that it listens on, told to it as PORT; it must be free at the start."`
	Node  string                 `json:"node,omitempty" doc:"The name of the node of a release made by relx, told to it as NODE_NAME; the unit's when left out."`
	Env   map[string]secret.Text `json:"env,omitempty" doc:"More environment variables; secrets may stand here. They reach systemd in a file that only those who deploy, and root, can read."`
	Grace op.Duration            `json:"grace,omitempty" doc:"How long it may take to end before systemd kills it."`
	User  string                 `json:"user,omitempty" script:"-"`
}

func (Systemd) driver() {}

// Kind implements Service.
func (Systemd) Kind() string { return "systemd" }

// Listens implements Service.
func (s Systemd) Listens() int { return s.Port }

// Supervised implements Service.
func (Systemd) Supervised() bool { return true }

// With implements Service.
func (s Systemd) With(env map[string]secret.Text, user string) Service {
	s.Env, s.User = merged(s.Env, env), cmp.Or(user, s.User)
	return s
}

var systemdUnit = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:_.-]*\.service$`)

// Check implements op.Checked.
func (s Systemd) Check() error {
	if !systemdUnit.MatchString(s.Name) {
		return fmt.Errorf(`unit: want the name of a service such as "erlmcp.service", got %q`, s.Name)
	}
	for _, word := range s.Argv {
		if strings.ContainsAny(word, "\n\x00") || word == "" {
			return fmt.Errorf("argv: want words on one line, got %q", word)
		}
	}
	return checkPort(s.Port)
}

func (s Systemd) app() string { return strings.TrimSuffix(s.Name, ".service") }

func (s Systemd) argv() []string {
	if len(s.Argv) > 0 {
		return s.Argv
	}
	return []string{"bin/" + s.app(), "foreground"}
}

// Unit implements Service.
func (s Systemd) Unit(h *host.Host, root, release string, key op.Key) (Unit, error) {
	var u Unit
	var err error
	if s.isRelx(h, filepath.Join(h.Abs(root), "releases", release)) {
		u, err = s.relx().Unit(h, root, release, key)
	} else {
		u, err = s.process().Unit(h, root, release, key)
	}
	u.Argv, u.User = s.argv(), s.User // systemd makes the process theirs, whoever deploys
	if host.CanBe(s.User) != nil {    // nobody else can give it a cookie that OTP reads: it has to be its own alone
		u.Env = slices.DeleteFunc(u.Env, func(kv string) bool { // systemd says them of the user
			return strings.HasPrefix(kv, "HOME=") || strings.HasPrefix(kv, "USER=")
		})
		u.Home = ""
	}
	u.Systemd = &Supervisor{Unit: s.Name, File: s.File(h.Abs(root))}
	return u, err
}

// Rehearsal implements Service: a trial runs without systemd, which alone can make it the user's where root does not deploy.
func (s Systemd) Rehearsal(h *host.Host, t Trial) (Unit, error) {
	user := s.User
	if host.CanBe(user) != nil {
		user = ""
	}
	if s.isRelx(h, t.Dir) {
		return s.relx().With(nil, user).Rehearsal(h, t)
	}
	return s.process().With(nil, user).Rehearsal(h, t)
}

func (s Systemd) isRelx(h *host.Host, release string) bool {
	_, err := h.Files.Stat(filepath.Join(release, "releases", "start_erl.data"))
	return err == nil
}

func (s Systemd) relx() Relx {
	name := strings.TrimPrefix(s.argv()[0], "bin/")
	return Relx{Name: name, Port: s.Port, Node: cmp.Or(s.Node, s.app()), Env: s.Env, Grace: s.Grace}
}

func (s Systemd) process() Process {
	return Process{Argv: s.argv(), Port: s.Port, Env: s.Env, Signal: "SIGTERM", Grace: s.Grace}
}

// File is the unit file for a root. It is the same for every release, so that deployments need no right to change it:
// systemd follows current when it starts the service, and reads what the release needs from a file of the root.
func (s Systemd) File(root string) string {
	argv := s.argv()
	if strings.Contains(argv[0], "/") && !filepath.IsAbs(argv[0]) {
		argv = append([]string{filepath.Join(root, "current", argv[0])}, argv[1:]...)
	}
	words := make([]string, len(argv))
	for i, w := range argv {
		words[i] = quoted(w)
	}
	user := ""
	if s.User != "" {
		user = "User=" + s.User + "\n"
	}
	return fmt.Sprintf(unitFile, s.app(), specifiers(environmentFile(root)), user, specifiers(filepath.Join(root, "current")),
		strings.Join(words, " "), int(s.Grace.D().Seconds()))
}

// environmentFile is where a root keeps the variables of what serves, for systemd.
func environmentFile(root string) string { return dir(root, "service.env") }

// quoted is a word of a command in a unit file (systemd.service(5), COMMAND LINES).
func quoted(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", "$$", "%", "%%").Replace(word) + `"`
}

// specifiers escapes what systemd would expand.
func specifiers(path string) string { return strings.ReplaceAll(path, "%", "%%") }

const unitFile = `# Written by runner setup. Changes are overwritten: a drop-in (systemctl edit) is not.
[Unit]
Description=%s, deployed by runner
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
EnvironmentFile=%s
%sWorkingDirectory=%s
ExecStart=%s
Restart=on-failure
RestartSec=1
KillMode=mixed
TimeoutStopSec=%d

[Install]
WantedBy=multi-user.target
`
