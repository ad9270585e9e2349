package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// randomKills is how many rounds TestRandomKills makes in all; RUNNER_SOAK sets another number.
const randomKills = 300

// TestRandomKills deploys good and bad versions and rolls back in random order, kills runs by kill -9 at random
// moments, and after each wants: what serves is a version that was meant to, the live release and the last good one are
// there, and the next run succeeds by itself.
func TestRandomKills(t *testing.T) {
	rounds := randomKills
	if n, err := strconv.Atoi(os.Getenv("RUNNER_SOAK")); err == nil {
		rounds = n
	}
	for half := range 2 {
		t.Run(fmt.Sprint(half), func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			if given, err := strconv.ParseUint(os.Getenv("RUNNER_SEED"), 10, 64); err == nil {
				seed = given
			}
			t.Logf("RUNNER_SEED=%d repeats this", seed)
			newRandomSite(t, seed).play(rounds / 2)
		})
	}
}

type randomSite struct {
	*site
	rng  *rand.Rand
	good string // the version that serves when nothing is under way
	took time.Duration
}

func newRandomSite(t *testing.T, seed uint64) *randomSite {
	r := &randomSite{site: newSite(t), rng: rand.New(rand.NewPCG(seed, 0)), good: "1.0.0"}
	begun := time.Now()
	r.must(0, r.deploy("1.0.0")...)
	r.took = time.Since(begun)
	r.must(0, r.deploy("1.1.0")...)
	r.good = "1.1.0"
	return r
}

func (r *randomSite) play(rounds int) {
	for range rounds {
		args, next := r.choose()
		r.killed(args)
		r.keeps()
		r.must(0, "recover.star", "production")
		got := r.answers()
		if got != r.good && got != next {
			r.t.Fatalf("%v: %q answers, want %q or %q\n%s", args, got, r.good, next, r.out.String())
		}
		r.good = got
		r.keeps()
	}
	r.must(0, r.deploy("1.2.0")...)
	r.wants("1.2.0")
	r.agrees()
}

// choose picks what is run, and the version that it may leave.
func (r *randomSite) choose() (args []string, next string) {
	versions := []string{"1.0.0", "1.1.0", "1.2.0"}
	switch n := r.rng.IntN(10); {
	case n < 5:
		v := versions[r.rng.IntN(len(versions))]
		return r.deploy(v), v
	case n < 7:
		return r.deploy("crash"), r.good
	default:
		all := r.releases()
		to := all[r.rng.IntN(len(all))]
		for !to.Good {
			to = all[r.rng.IntN(len(all))]
		}
		return []string{"rollback.star", "production", to.ID, "--output", "plain"}, to.Version
	}
}

// killed runs the program and kills it within the time that a whole run takes.
func (r *randomSite) killed(args []string) {
	cmd := r.command(args...)
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	kill := time.AfterFunc(time.Duration(r.rng.Int64N(int64(r.took))), func() { cmd.Process.Kill() })
	cmd.Wait()
	kill.Stop()
}

type onDisk struct {
	ID, Version string
	Good        bool
	order       int
}

// releases reads the releases from the disk, without runner.
func (r *randomSite) releases() []onDisk {
	manifests, _ := filepath.Glob(r.root("releases", "0*", ".runner-release.json"))
	var out []onDisk
	for _, m := range manifests {
		var doc struct{ Release onDisk }
		b, err := os.ReadFile(m)
		if err != nil || json.Unmarshal(b, &doc) != nil {
			r.t.Fatalf("cannot read %s: %v", m, err)
		}
		d := doc.Release
		d.ID = filepath.Base(filepath.Dir(m))
		if b, err := os.ReadFile(r.root(".runner", "good", d.ID)); err == nil {
			var mark struct{ Order int }
			if err := json.Unmarshal(b, &mark); err != nil {
				r.t.Fatalf("the mark of %s: %v", d.ID, err)
			}
			d.Good, d.order = true, mark.Order
		}
		out = append(out, d)
	}
	return out
}

// keeps wants the live release and the last good ones on the disk, whole.
func (r *randomSite) keeps() {
	r.t.Helper()
	link, err := os.Readlink(r.root("current"))
	if err != nil {
		r.t.Fatalf("current: %v", err)
	}
	live := strings.TrimPrefix(link, "releases/")
	good := 0
	found := false
	for _, d := range r.releases() {
		if _, err := os.Stat(r.root("releases", d.ID, "bin", "mcpd")); err != nil {
			r.t.Fatalf("release %s: %v", d.ID, err)
		}
		found = found || d.ID == live
		if d.Good && d.ID != live {
			good++
		}
	}
	if !found || good == 0 {
		r.t.Fatalf("live %s is there: %v; %d good releases to go back to: %+v", live, found, good, r.releases())
	}
}
