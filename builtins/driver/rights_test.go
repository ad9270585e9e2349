package driver

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/op"
)

// What runner setup gives by sudo is what a deployment calls, to the byte: daemon-reload is root's alone.
func TestRights(t *testing.T) {
	p, machine := systemdPlace(t)
	s := Systemd{Name: "app.service", Port: freePort(t), Grace: op.Duration(5 * time.Second)}
	u, err := s.Unit(p.h, p.root, "000001", "r/1")
	p.must(err)
	p.must(Stop(t.Context(), p.h, p.root, p.startUnit(u)))
	var called []string
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
	for _, argv := range s.Rights() {
		if headed := append([]string{"sudo", "-n"}, argv...); !slices.Equal(headed, systemctl(false, argv[3:]...)) {
			t.Errorf("a deployment calls %q", systemctl(false, argv[3:]...))
		}
	}
	if s.Path() != "/etc/systemd/system/app.service" {
		t.Error(s.Path())
	}
}
