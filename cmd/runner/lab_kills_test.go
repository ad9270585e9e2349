//go:build labs

package main

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// labKills is how many deployments TestLabKills kills.
const labKills = 10

// TestLabKills kills runs of deploy.star at random moments, with kill -9, and takes their state directory away, as when a
// machine of CI goes with its disk. After each, the next run makes the old or the new version serve, and one node runs.
func TestLabKills(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	if given, err := strconv.ParseUint(os.Getenv("RUNNER_SEED"), 10, 64); err == nil {
		seed = given
	}
	t.Logf("RUNNER_SEED=%d repeats this", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	l := newLab(t)
	built := map[string]string{}
	for _, version := range []string{"1.0.0", "1.1.0"} {
		l.version(version)
		built[version] = filepath.Join(t.TempDir(), "erlmcp")
		l.tool("rebar3", "as", "prod", "release", "--output-dir", filepath.Dir(built[version]))
	}
	deploy := func(version string) []string {
		return []string{"deploy.star", "careful", "--artifact", built[version], "--output", "plain"}
	}
	l.runs(0, deploy("1.0.0")...)
	began := time.Now()
	l.runs(0, deploy("1.1.0")...)
	whole, good := time.Since(began), "1.1.0"
	other := map[string]string{"1.0.0": "1.1.0", "1.1.0": "1.0.0"}
	for range labKills {
		next := other[good]
		at := time.Duration(rng.Int64N(int64(whole)))
		run := l.begin(deploy(next)...)
		kill := time.AfterFunc(at, func() { run.cmd.Process.Kill() })
		<-run.ended
		kill.Stop()
		if err := os.RemoveAll(filepath.Join(l.dir, ".runner")); err != nil {
			t.Fatal(err)
		}
		l.runs(0, "recover.star", "careful")
		l.until("one node", func() bool { return len(l.nodes()) == 1 })
		var d document
		l.until("an answer", func() bool { d = l.document(); return d.Version != "" })
		t.Logf("killed after %5.2fs: %s, was to be %s", at.Seconds(), d.Version, next)
		if d.Version != good && d.Version != next {
			t.Fatalf("%q answers, want %q or %q\n%s", d.Version, good, next, run.out)
		}
		good = l.serves(d.Version).Version
	}
	l.runs(0, deploy(other[good])...) // its rehearsal removes what a killed one has left
	l.serves(other[good])
	if _, err := os.Stat(l.root(".runner", "trial")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a trial is left: %v", err)
	}
}
