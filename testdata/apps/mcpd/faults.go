package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// faults is how this mcpd misbehaves. The zero value behaves well.
type faults struct {
	health     string        // "degraded" or "unhealthy": the database fails
	slowStart  time.Duration // before listening
	crashAfter time.Duration // since the start
	garbage    bool          // health answers no JSON
	brackets   bool          // health answers 2 MB of [
	redirect   bool          // health answers 302
	ignoreTerm bool          // SIGTERM does nothing
	memory     int           // MiB that are taken and kept when it listens
}

var faultNames = []string{"health", "slow_start", "crash_after", "garbage", "brackets", "redirect", "ignore_term", "memory"}

// parseFaults reads those stamped into the binary, "health=unhealthy,slow_start=3s", then those of the environment,
// MCPD_SLOW_START=3s, which win.
func parseFaults(stamped string, getenv func(string) string) (faults, error) {
	var f faults
	for part := range strings.SplitSeq(stamped, ",") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		if err := f.set(strings.TrimSpace(name), value); err != nil {
			return f, err
		}
	}
	for _, name := range faultNames {
		if value := getenv("MCPD_" + strings.ToUpper(name)); value != "" {
			if err := f.set(name, value); err != nil {
				return f, err
			}
		}
	}
	return f, nil
}

func (f *faults) set(name, value string) (err error) {
	switch name {
	case "health":
		if value != "healthy" && value != "degraded" && value != "unhealthy" {
			return fmt.Errorf("fault health: want healthy, degraded or unhealthy, got %q", value)
		}
		f.health = strings.TrimPrefix(value, "healthy")
	case "slow_start":
		f.slowStart, err = time.ParseDuration(value)
	case "crash_after":
		f.crashAfter, err = time.ParseDuration(value)
	case "garbage":
		f.garbage = value != "0"
	case "brackets":
		f.brackets = value != "0"
	case "redirect":
		f.redirect = value != "0"
	case "ignore_term":
		f.ignoreTerm = value != "0"
	case "memory":
		f.memory, err = strconv.Atoi(value)
	default:
		return fmt.Errorf("unknown fault %q: want one of %s", name, strings.Join(faultNames, ", "))
	}
	if err != nil {
		return fmt.Errorf("fault %s: %w", name, err)
	}
	return nil
}
