package provision

import (
	"slices"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/driver"
)

const sudoersText = `# Written by runner setup for app.service. Changes are overwritten.
%app-deploy ALL=(root) NOPASSWD: /usr/bin/systemctl --no-pager --no-ask-password start app.service
%app-deploy ALL=(root) NOPASSWD: /usr/bin/systemctl --no-pager --no-ask-password stop app.service
%app-deploy ALL=(root) NOPASSWD: /usr/bin/systemctl --no-pager --no-ask-password show --property\=ActiveState\,MainPID\,ExecMainCode\,ExecMainStatus app.service
%app-deploy ALL=(root) NOPASSWD: /usr/bin/journalctl --no-pager --output\=cat --lines\=200 --unit\=app.service
`

var unit = driver.Systemd{Name: "app.service", User: "app"}

func wanted() Want {
	return Want{Environment: "production", Root: "/opt/app", Group: "app-deploy", User: "app", Deployer: "ana", Service: unit}
}

// bare is a machine on which nothing is set up.
func bare() Machine {
	return Machine{Folders: map[string]Folder{}, Member: []string{"ana"}, Systemctl: "/usr/bin/systemctl", Nologin: "/usr/sbin/nologin", State: "disabled"}
}

// ready is one on which everything is.
func ready() Machine {
	m := bare()
	folder := Folder{Kind: "a directory", Owner: "root", Group: "app-deploy", Mode: 0o2775}
	own, shared := folder, folder
	own.Mode, shared.Owner, shared.Group = 0o2771, "app", "app"
	m.Folders = map[string]Folder{"/opt/app": folder, "/opt/app/releases": folder, "/opt/app/backups": folder, "/opt/app/.runner": own, "/opt/app/shared": shared}
	m.Group, m.UserGroup, m.User, m.Member = true, true, &Account{"app", "app", "/usr/sbin/nologin"}, []string{"ana", "app", "app-deploy"}
	m.Unit = File{Exists: true, Kind: "a file", Text: unit.File("/opt/app"), Owner: "root"}
	m.Sudoers = File{Exists: true, Kind: "a file", Text: sudoersText, Owner: "root"}
	m.State = "enabled"
	return m
}

func lines(w Work) string {
	var out []string
	for _, s := range w.Steps {
		out = append(out, strings.Join(s.Argv, " "))
	}
	for _, d := range w.Differences {
		out = append(out, "! "+d)
	}
	for _, n := range w.Notes {
		out = append(out, "* "+n)
	}
	return strings.Join(out, "\n")
}

const everything = `groupadd --system app-deploy
useradd --system --user-group --no-create-home --home-dir /opt/app/shared --shell /usr/sbin/nologin app
usermod --append --groups app-deploy,app ana
install --directory --owner=root --group=app-deploy --mode=2775 /opt/app
install --directory --owner=root --group=app-deploy --mode=2775 /opt/app/releases
install --directory --owner=root --group=app-deploy --mode=2775 /opt/app/backups
install --directory --owner=root --group=app-deploy --mode=2771 /opt/app/.runner
install --directory --owner=app --group=app --mode=2775 /opt/app/shared
install --owner=root --group=root --mode=0644 /dev/stdin /etc/systemd/system/app.service.new
sync /etc/systemd/system/app.service.new
mv --force --no-target-directory /etc/systemd/system/app.service.new /etc/systemd/system/app.service
systemctl daemon-reload
systemctl enable app.service
install --owner=root --group=root --mode=0440 /dev/stdin /etc/sudoers.d/runner-app.new
visudo --check --file=/etc/sudoers.d/runner-app.new
sync /etc/sudoers.d/runner-app.new
mv --force --no-target-directory /etc/sudoers.d/runner-app.new /etc/sudoers.d/runner-app
* ana is in the group from the next login on`

func TestPlanOfEverything(t *testing.T) {
	work := Plan(wanted(), bare())
	if got := lines(work); got != everything {
		t.Errorf("planned is\n%s", got)
	}
	var read, why []string
	for _, s := range work.Steps {
		if s.In != "" {
			read = append(read, s.In)
		}
		if s.Why != "" {
			why = append(why, s.Why)
		}
	}
	if !slices.Equal(read, []string{unit.File("/opt/app"), sudoersText}) {
		t.Errorf("read are %q", read)
	}
	if len(why) != 8 {
		t.Errorf("the reasons are %q", why)
	}
	if got := lines(Plan(wanted(), ready())); got != "" {
		t.Errorf("where all is in place:\n%s", got)
	}
}

// Whatever a killed setup has done, the next does the rest.
func TestPlanGoesOn(t *testing.T) {
	all, full, m := strings.Split(everything, "\n"), ready(), bare()
	folder := func(name string) func() {
		return func() { m.Folders["/opt/app"+name] = full.Folders["/opt/app"+name] }
	}
	nothing := func() {}
	for n, done := range []func(){
		func() { m.Group = true },
		func() { m.User, m.UserGroup = full.User, true },
		func() { m.Member = full.Member },
		folder(""), folder("/releases"), folder("/backups"), folder("/.runner"), folder("/shared"),
		nothing, nothing, // what lies under another name is written again
		func() { m.Unit, m.Stale = full.Unit, true },
		func() { m.Stale = false },
		func() { m.State = "enabled" },
		nothing, nothing, nothing,
		func() { m.Sudoers = full.Sudoers },
	} {
		done()
		left := all[n+1 : len(all)-1]
		switch {
		case n < 2:
			left = all[n+1:]
		case n == 8 || n == 9:
			left = all[8 : len(all)-1]
		case n >= 13 && n <= 15:
			left = all[13 : len(all)-1]
		}
		if got := lines(Plan(wanted(), m)); got != strings.Join(left, "\n") {
			t.Errorf("behind %q:\n%s", all[n], got)
		}
	}
}

// What is there but otherwise is made right where it is runner's own or half done, and shown where it is somebody's.
func TestPlanOfDifferences(t *testing.T) {
	folder := func(name string, change func(*Folder)) func(*Want, *Machine) {
		return func(_ *Want, m *Machine) {
			f := m.Folders["/opt/app"+name]
			change(&f)
			m.Folders["/opt/app"+name] = f
		}
	}
	for want, change := range map[string]func(*Want, *Machine){
		"chgrp --no-dereference app-deploy /opt/app\nchmod 2775 /opt/app":                                                                                folder("", func(f *Folder) { f.Group, f.Mode = "root", 0o755 }),
		"chgrp --no-dereference app-deploy /opt/app":                                                                                                     folder("", func(f *Folder) { f.Owner, f.Group = "ana", "ana" }),
		"! /opt/app belongs to eve, and not to root":                                                                                                     folder("", func(f *Folder) { f.Owner, f.Group = "eve", "eve" }),
		"! /opt/app is a symbolic link, where a directory is wanted":                                                                                     folder("", func(f *Folder) { f.Kind = "a symbolic link" }),
		"! /opt/app is of the group staff, and not of app-deploy; --group staff keeps it":                                                                folder("", func(f *Folder) { f.Group = "staff" }),
		"! every user of the machine can write in /opt/app/releases: its mode is 0777, where 2775 is wanted":                                             folder("/releases", func(f *Folder) { f.Mode = 0o777 }),
		"chgrp --recursive --no-dereference app-deploy /opt/app/releases":                                                                                folder("/releases", func(f *Folder) { f.Foreign = true }),
		"find /opt/app/releases -type d ! -perm -2070 -exec chmod g+rwxs {} +":                                                                           folder("/releases", func(f *Folder) { f.Closed, f.Private = true, true }),
		"chmod 2771 /opt/app/.runner\nchmod --recursive g+u /opt/app/.runner\nfind /opt/app/.runner -type d ! -perm -2070 -exec chmod g+rwxs {} +":       folder("/.runner", func(f *Folder) { f.Mode, f.Closed, f.Private = 0o755, true, true }),
		"chmod 2771 /opt/app/.runner":                                                                                                                    folder("/.runner", func(f *Folder) { f.Mode = 0o2775 }),
		"chown --recursive --no-dereference app:app /opt/app/shared":                                                                                     folder("/shared", func(f *Folder) { f.Owner, f.Group = "ana", "app-deploy" }),
		"! /opt/app/shared belongs to postgres, and not to app":                                                                                          folder("/shared", func(f *Folder) { f.Owner, f.Group = "postgres", "postgres" }),
		"usermod --append --groups app ana\n* ana is in the group from the next login on":                                                                func(_ *Want, m *Machine) { m.Member = []string{"app-deploy"} },
		"! the user app can log in, with /bin/bash: a service user cannot (usermod --shell /usr/sbin/nologin app), or name another in environments.star": func(_ *Want, m *Machine) { m.User.Shell = "/bin/bash" },
		"! /etc/systemd/system/app.service was not written by runner, and is not as the service is described; move it away, and keep what is special in a drop-in (systemctl edit app.service)": func(_ *Want, m *Machine) { m.Unit.Text = "[Service]\nExecStart=/bin/true\n" },
		"! /etc/systemd/system/app.service is a symbolic link, where the unit file is wanted":                                                                                                   func(_ *Want, m *Machine) { m.Unit.Kind, m.Unit.Text = "a symbolic link", "" },
		"! /etc/systemd/system/app.service can be written by others than root":                                                                                                                  func(_ *Want, m *Machine) { m.Unit.Writable = true },
		"! app.service is masked: systemctl unmask app.service ends that":                                                                                                                       func(_ *Want, m *Machine) { m.State = "masked" },
		"! systemd does not run on this machine: System has not been booted with systemd":                                                                                                       func(_ *Want, m *Machine) { m.Silent = "System has not been booted with systemd" },
		"systemctl daemon-reload": func(_ *Want, m *Machine) { m.Stale = true },
		"! there is no sudo on this machine, by which those who deploy start and stop app.service; install it": func(_ *Want, m *Machine) { m.NoSudo = true },
		"! /etc/sudoers.d/runner-app was not written by runner for app.service; move it away":                  func(_ *Want, m *Machine) { m.Sudoers.Text = "ana ALL=(ALL) ALL\n" },
		"! /etc/sudoers.d/runner-app is a directory, where a file is wanted":                                   func(_ *Want, m *Machine) { m.Sudoers.Kind = "a directory" },
		"": func(_ *Want, m *Machine) {
			m.Sudoers = File{Exists: true, Kind: "a file", Hidden: true}
			m.Right = true
		},
		"* who deploys is to be in the group: usermod --append --groups app-deploy,app NAME": func(w *Want, _ *Machine) { w.Deployer = "root" },
		"! /opt/app/shared belongs to app, and not to root": func(w *Want, _ *Machine) {
			w.User = "root"
			w.Service = driver.Systemd{Name: "app.service", User: "app"}
		},
	} {
		w, m := wanted(), ready()
		change(&w, &m)
		if got := lines(Plan(w, m)); got != want {
			t.Errorf("planned is\n%s\nwant\n%s", got, want)
		}
	}
}

// Runner's own earlier text gives way.
func TestPlanOfOwnText(t *testing.T) {
	all := strings.Split(everything, "\n")
	m := ready()
	m.Unit.Text = driver.Systemd{Name: "app.service", User: "other"}.File("/opt/app")
	if got := lines(Plan(wanted(), m)); got != strings.Join(all[8:12], "\n") {
		t.Errorf("another unit:\n%s", got)
	}
	m = ready()
	m.Sudoers.Text = Sudoers("others", "/usr/bin/systemctl", unit)
	if got := lines(Plan(wanted(), m)); got != strings.Join(all[13:17], "\n") {
		t.Errorf("another group's rights:\n%s", got)
	}
	m.Sudoers.Hidden = true
	if got := lines(Plan(wanted(), m)); got != strings.Join(all[13:17], "\n") {
		t.Errorf("a file that may not be read, without the right:\n%s", got)
	}
}

// What runner starts itself is its starter's: systemd and sudo have no part in it.
func TestPlanWithoutSystemd(t *testing.T) {
	m, w := ready(), wanted()
	m.Unit, m.Sudoers, m.NoSudo, m.Silent, m.Member = File{}, File{}, true, "it is not there", nil
	w.Service = driver.Process{Argv: []string{"bin/app"}, User: "app"}
	if got := lines(Plan(w, m)); got != "usermod --append --groups app-deploy app\n* runner itself starts a process(...): deployments run as root or as app, such as sudo -u app runner deploy.star production" {
		t.Errorf("with a user:\n%s", got)
	}
	w.Service, w.User = driver.Relx{Name: "app"}, ""
	m.Folders["/opt/app/shared"] = m.Folders["/opt/app"]
	if got := lines(Plan(w, m)); got != "usermod --append --groups app-deploy ana\n* runner itself starts a relx(...), which belongs to whoever deploys: the same user must deploy again, or root\n* ana is in the group from the next login on" {
		t.Errorf("without:\n%s", got)
	}
	m.User, m.UserGroup, w.Service, w.User = nil, true, unit, "app"
	w.Service = nil
	if got := lines(Plan(w, m)); !strings.HasPrefix(got, "useradd --system --gid app --no-create-home --home-dir /opt/app/shared --shell /usr/sbin/nologin app\n") {
		t.Errorf("where the user's group is there:\n%s", got)
	}
}

func TestGroupOf(t *testing.T) {
	for app, want := range map[string]string{"erlmcp": "erlmcp-deploy", "Erl MCP": "erl-mcp-deploy", "7zip": "app7zip-deploy", "…": "app-deploy",
		"a-name-that-is-much-longer-than-allowed": "a-name-that-is-much-longe-deploy"} {
		if got := GroupOf(app); got != want || !IsGroup(got) {
			t.Errorf("%q: %q", app, got)
		}
	}
	for _, bad := range []string{"", "a b", "-x", "A", "x:y", strings.Repeat("a", 33)} {
		if IsGroup(bad) {
			t.Errorf("%q is a group", bad)
		}
	}
}

func TestApplies(t *testing.T) {
	for root, want := range map[string]bool{"/p/.runner/dev": false, "/p2/x": true, "/opt/x": true} {
		if got := (Want{Root: root, Service: driver.Process{}}).Applies("/p"); got != want {
			t.Errorf("%s: %t", root, got)
		}
	}
	if !(Want{Root: "/p/x", User: "app"}).Applies("/p") || !(Want{Root: "/p/x", Service: unit}).Applies("/p") {
		t.Error("a service user or a unit needs no setup")
	}
}
