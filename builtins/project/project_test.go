package project

import (
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/driver"
	"github.com/erlmcp/runner/runtime/op"
)

// asked is a probe that only remembers where it is asked.
type asked struct{ base string }

func (asked) WithBase(base string) any { return asked{base} }

// stray is a probe that becomes something else.
type stray struct{}

func (stray) WithBase(string) any { return 7 }

func environment(service driver.Service) Environment {
	return Environment{App: "app", Target: Host{Root: "/opt/app", Service: service}, Health: asked{}}
}

func TestMake(t *testing.T) {
	for want, service := range map[string]driver.Service{"http://127.0.0.1:8080": driver.Process{Port: 8080}, "": driver.Process{}} {
		made, err := environment(service).Make()
		if e, ok := made.(Environment); err != nil || !ok || e.Health != (asked{want}) {
			t.Errorf("want it asked at %q: %+v, %v", want, made, err)
		}
	}
	bare := environment(nil)
	bare.Health = nil
	if made, err := bare.Make(); err != nil || made.(Environment).Health != nil {
		t.Errorf("without health: %+v, %v", made, err)
	}
	odd := environment(nil)
	odd.Health = stray{}
	if _, err := odd.Make(); err == nil || err.Error() != "health: the probe does not stay one" {
		t.Errorf("%v", err)
	}
	if e := environment(nil).WithName("production").(Environment); e.Name != "production" || e.App != "app" {
		t.Errorf("%+v", e)
	}
}

func TestCheck(t *testing.T) {
	protected := environment(driver.Process{})
	protected.Protected = true
	err := protected.Check()
	if err == nil || !strings.HasPrefix(err.Error(), "target: a protected environment wants a service that is started again") || !strings.Contains(op.HintOf(err), "unsupervised = True") {
		t.Errorf("%v, %q", err, op.HintOf(err))
	}
	accepted := environment(driver.Process{Unsupervised: true})
	accepted.Protected = true
	linked := environment(nil)
	linked.Protected = true
	for _, e := range []Environment{accepted, linked, environment(driver.Process{})} {
		if err := e.Check(); err != nil {
			t.Errorf("%+v: %v", e, err)
		}
	}
	for _, root := range []string{"", "/"} {
		if err := (Host{Root: root}).Check(); err == nil {
			t.Errorf("the root %q is taken", root)
		}
	}
}
