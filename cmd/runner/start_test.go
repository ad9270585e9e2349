package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// costly are the packages that make over 250 kB before main begins, and where that is decided. Bytes stand for time, which says
// more about what else a machine does: 250 kB are some 1 ms of it.
func costly() map[string]string {
	return map[string]string{
		"github.com/santhosh-tekuri/jsonschema/v6": "decision 0014",
		"github.com/distribution/reference":        "decision 0014",
	}
}

// TestStartIsLight: no package of ours, or under us, makes much when any runner starts without being on the list.
func TestStartIsLight(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run", "^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	known, seen := costly(), 0
	for line := range strings.Lines(string(out)) {
		var name string
		var at, took float64
		var bytes, allocations int
		if _, err := fmt.Sscanf(line, "init %s @%f ms, %f ms clock, %d bytes, %d allocs", &name, &at, &took, &bytes, &allocations); err != nil {
			continue
		}
		seen++
		if bytes > 250_000 && known[name] == "" {
			t.Errorf("%s makes %d bytes in %.1f ms whenever runner starts: make them when they are asked for, or say in a decision why not", name, bytes, took)
		}
		delete(known, name)
	}
	if seen < 20 || len(known) > 0 {
		t.Errorf("%d packages begin with something; not among them, and so not for the list: %v", seen, known)
	}
}
