package driver

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
)

// What runner setup gives by sudo is what a deployment calls, to the byte: daemon-reload is root's alone.
func TestRights(t *testing.T) {
	p, machine := systemdPlace(t)
	s := Systemd{Name: "app.service", Port: hosttest.Port(t), Grace: op.Duration(5 * time.Second)}
	u, err := s.Unit(p.h, p.root, "000001", "r/1")
	p.must(err)
	r := p.startUnit(u)
	_, _, err = Said(t.Context(), p.h, p.root, r, 20)
	p.must(err)
	p.must(Stop(t.Context(), p.h, p.root, r))
	called := []string{"journalctl " + strings.TrimSpace(p.read(filepath.Join(machine, "asked")))}
	for line := range strings.Lines(p.read(filepath.Join(machine, "said"))) {
		if line = "systemctl " + strings.TrimSpace(line); !strings.Contains(line, "daemon-reload") {
			called = append(called, line)
		}
	}
	var rights []string
	for _, argv := range s.Rights() {
		rights = append(rights, strings.Join(argv, " "))
	}
	slices.Sort(called)
	slices.Sort(rights)
	if called = slices.Compact(called); !slices.Equal(called, rights) {
		t.Errorf("called are\n%s\nthe rights are\n%s", strings.Join(called, "\n"), strings.Join(rights, "\n"))
	}
	if argv := entitled(false, s.Rights()[0]); strings.Join(argv, " ") != "sudo -n "+rights[2] {
		t.Errorf("a deployment calls %q", argv)
	}
	if s.Path() != "/etc/systemd/system/app.service" {
		t.Error(s.Path())
	}
}
