// Package provision is what a machine needs before somebody who is not root can deploy to a root on it: a group, a service
// user, folders, a unit and the rights to run it. It observes, and plans; what it plans are commands that a person could
// type. It changes nothing itself, and plans nothing over what somebody else has made.
package provision

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/driver"
)

// Want is what a target needs.
type Want struct {
	Environment string
	Root        string // absolute
	Group       string // of those who deploy
	User        string // as whom the service runs; "" for nobody's own
	Deployer    string // who is to be in the group; "" where that is not known
	Service     driver.Service
}

// Machine is what is there.
type Machine struct {
	Group     bool     // the group exists
	User      *Account // the service user, nil for none
	UserGroup bool     // a group with the service user's name exists
	Member    []string // the groups of who deploys
	Folders   map[string]Folder
	Unit      File
	Sudoers   File
	Right     bool   // sudo says that who runs this has the right already; asked where the file cannot be read
	State     string // of the unit: "enabled"
	Stale     bool   // systemd has not read the unit file since it was changed
	Silent    string // why systemd does not answer
	Systemctl string // its path
	Nologin   string // the shell of who cannot log in
	NoSudo    bool   // there is no sudo, or no visudo to check what it is to read
}

// Account is a user.
type Account struct{ Name, Group, Shell string }

// Folder is something with the name of a folder.
type Folder struct {
	Kind         string // "a directory", where it is one
	Owner, Group string
	Mode         uint32 // with the setgid bit: 02775

	Foreign bool // something in it is of another group than that of those who deploy
	Closed  bool // a folder in it keeps its group out
	Private bool // a file in it gives its group less than its owner
}

// File is a file that may be there.
type File struct {
	Exists   bool
	Kind     string // "a file", where it is one
	Hidden   bool   // it may not be read
	Text     string
	Owner    string
	Writable bool // by others than its owner
}

// Step is a command, with what it reads.
type Step struct {
	Why  string   `json:"why,omitempty"` // of the first of several
	Argv []string `json:"argv"`
	In   string   `json:"stdin,omitempty"`
}

// Work is what there is to do.
type Work struct {
	Steps       []Step   `json:"steps"`
	Differences []string `json:"differences"` // what somebody else has made otherwise; nothing is done before they settle it
	Notes       []string `json:"notes"`
}

func (w *Work) do(why string, argv ...string) { w.read(why, "", argv...) }

func (w *Work) read(why, in string, argv ...string) {
	if n := len(w.Steps); n > 0 && slices.ContainsFunc(w.Steps, func(s Step) bool { return s.Why == why }) {
		why = ""
	}
	w.Steps = append(w.Steps, Step{Why: why, Argv: argv, In: in})
}

func (w *Work) differ(words ...string) {
	w.Differences = append(w.Differences, strings.Join(words, ""))
}

var notInGroup = regexp.MustCompile(`[^a-z0-9_-]+`)

// GroupOf is the group of those who deploy an application, where nobody has named another.
func GroupOf(app string) string {
	name := strings.Trim(notInGroup.ReplaceAllString(strings.ToLower(app), "-"), "-")
	name = name[:min(len(name), maxGroup-len("-deploy"))]
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "app" + name[:min(len(name), maxGroup-len("app-deploy"))]
	}
	return name + "-deploy"
}

// maxGroup is how long a group's name may be.
const maxGroup = 32

var groupName = regexp.MustCompile(`^[a-z_][a-z0-9_-]*$`)

// IsGroup reports whether a name can be a group's.
func IsGroup(name string) bool { return len(name) <= maxGroup && groupName.MatchString(name) }

// Applies reports whether there is anything to set up: what lies in a project, and is nobody's but its owner's, needs
// nothing.
func (w Want) Applies(project string) bool {
	_, supervised := w.service()
	return supervised || w.user() != "" || !strings.HasPrefix(w.Root, project+"/")
}

// service is the systemd service that is wanted, if one is.
func (w Want) service() (driver.Systemd, bool) {
	s, ok := w.Service.(driver.Systemd)
	return s, ok
}

// user is who the service runs as, "" for root and for nobody's own.
func (w Want) user() string {
	if w.User == "root" {
		return ""
	}
	return w.User
}

// deployer is who is to be in the group. A service that runner starts itself can be started by its own user, or by root.
func (w Want) deployer() string {
	if _, ok := w.service(); !ok && w.user() != "" {
		return w.user()
	}
	return w.Deployer
}

func (w Want) shared() string { return filepath.Join(w.Root, "shared") }

// Plan is what is to be done, in its order. It is empty where all is in place.
func Plan(w Want, m Machine) Work {
	var out Work
	out.accounts(w, m)
	out.folders(w, m)
	if s, ok := w.service(); ok {
		out.unit(w, m, s)
		out.rights(w, m, s)
	}
	out.notes(w, m)
	return out
}

func (w *Work) accounts(want Want, m Machine) {
	if !m.Group {
		w.do("the group of those who deploy", "groupadd", "--system", want.Group)
	}
	user := want.user()
	switch {
	case user == "":
	case m.User == nil:
		own := []string{"--user-group"}
		if m.UserGroup {
			own = []string{"--gid", user}
		}
		w.do("the user that the service runs as", slices.Concat([]string{"useradd", "--system"}, own,
			[]string{"--no-create-home", "--home-dir", want.shared(), "--shell", m.Nologin, user})...)
	case logsIn(m.User.Shell) && user != want.Deployer:
		w.differ("the user ", user, " can log in, with ", m.User.Shell, ": a service user cannot (usermod --shell ", m.Nologin, " ", user, "), or name another in environments.star")
	}
	if groups := missing(want, m); len(groups) > 0 {
		w.do("who deploys is in the group, and may write what the service shares", "usermod", "--append", "--groups", strings.Join(groups, ","), want.deployer())
	}
}

// missing are the groups that who deploys is to be in and is not.
func missing(want Want, m Machine) []string {
	who := want.deployer()
	if who == "" || who == "root" {
		return nil
	}
	groups := []string{want.Group}
	if user := want.user(); user != "" && user != who {
		groups = append(groups, sharing(want, m))
	}
	return slices.DeleteFunc(groups, func(g string) bool { return slices.Contains(m.Member, g) })
}

// sharing is the group of ROOT/shared: the service's own, so that the service can write nothing else of the root.
func sharing(want Want, m Machine) string {
	switch user := want.user(); {
	case user == "":
		return want.Group
	case m.User != nil:
		return m.User.Group
	default:
		return user
	}
}

func logsIn(shell string) bool {
	base := filepath.Base(shell)
	return shell != "" && base != "nologin" && base != "false"
}

func (w *Work) notes(want Want, m Machine) {
	note := func(words ...string) { w.Notes = append(w.Notes, strings.Join(words, "")) }
	_, supervised := want.service()
	user := want.user()
	switch {
	case want.Service != nil && !supervised && user != "":
		note("runner itself starts a ", want.Service.Kind(), "(...): deployments run as root or as ", user, ", such as sudo -u ", user, " runner deploy.star ", want.Environment)
		return
	case want.Service != nil && !supervised:
		note("runner itself starts a ", want.Service.Kind(), "(...), which belongs to whoever deploys: the same user must deploy again, or root")
	}
	switch groups := missing(want, m); {
	case want.Deployer == "" || want.Deployer == "root":
		all := []string{want.Group}
		if user != "" {
			all = append(all, sharing(want, m))
		}
		note("who deploys is to be in the group: usermod --append --groups ", strings.Join(all, ","), " NAME")
	case len(groups) > 0:
		note(want.Deployer, " is in the group from the next login on")
	}
}
