package build

import (
	"os"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
)

// code is the beginning of a program.
func code(class, data, osabi byte, machine ...byte) string {
	return "\x7fELF" + string([]byte{class, data, 1, osabi}) + strings.Repeat("\x00", 8) + "\x02\x00" + string(machine)
}

var (
	amd64 = code(2, 1, 0, 62, 0)
	arm64 = code(2, 1, 3, 183, 0)
)

func TestPlatformOf(t *testing.T) {
	for want, files := range map[string]map[string]string{
		"any":                     {"bin/run": "#!/bin/sh\n", "data": amd64, "short": "\x7fELF", "lib/x.beam": "FOR1"},
		"linux/amd64":             {"bin/run": amd64, "share/doc": arm64},
		"linux/arm64":             {"lib/x.so": arm64, "lib/y.so.1": arm64},
		"linux/amd64,linux/arm64": {"bin/a": amd64, "bin/b": arm64},
		"linux/s390x":             {"bin/run": code(2, 2, 0, 0, 22)},
		"linux/ppc64le":           {"bin/run": code(2, 1, 0, 21, 0)},
		"freebsd/386":             {"bin/run": code(1, 1, 9, 3, 0)},
		"linux/arm":               {"bin/run": code(1, 1, 0, 40, 0)},
		"darwin/arm64":            {"bin/run": "\xcf\xfa\xed\xfe\x0c\x00\x00\x01" + strings.Repeat("\x00", 30)},
		"lib/a/priv/nif.so is for linux/arm64, and erts-13.1/bin/beam.smp for linux/amd64": {"erts-13.1/bin/beam.smp": amd64, "bin/x": amd64, "lib/a/priv/nif.so": arm64},
	} {
		h := newHost(t, nil)
		for name, text := range files {
			write(t, h, "made/"+name, text)
			if strings.Contains(name, "bin/") {
				must(t, os.Chmod(h.Abs("made/"+name), 0o755))
			}
		}
		got, err := platformOf(host.OS{}, h.Abs("made"))
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("want %s, got %s", want, got)
		}
	}
}

func TestPlatformOfProgram(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	if got, err := platformOf(host.OS{}, self); err != nil || got != machine {
		t.Errorf("this test is for %s, %v", got, err)
	}
	if _, err := platformOf(host.OS{}, "/nowhere"); err == nil {
		t.Error("a file that is not there has a platform")
	}
}
