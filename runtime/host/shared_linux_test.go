package host

import (
	"bytes"
	"strings"
	"testing"
)

// What runner starts has the mask that runner was started with: what a build makes is as it is without runner.
func TestMask(t *testing.T) {
	boot, err := BootID()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := Cmd{Argv: []string{"sh", "-c", "umask"}, Dir: "/", Env: []string{"PATH=/usr/bin:/bin"}, Stdout: &out}
	if exit, err := (Linux{Boot: boot, Mask: "037"}).Run(t.Context(), cmd, nil); err != nil || exit != (Exit{}) || strings.TrimLeft(strings.TrimSpace(out.String()), "0") != "37" {
		t.Errorf("the mask is %q (%v, %v)", out.String(), exit, err)
	}
}
