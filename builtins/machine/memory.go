package machine

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Memory tells how much memory there is.
type Memory struct {
	_ op.Doc `doc:"Tells how much memory the machine has, and how much of it a new program could use."`
}

// Room is how much memory there is.
type Room struct {
	_         op.Doc `doc:"How much memory a machine has."`
	Total     int64  `json:"total" doc:"All of it, in bytes."`
	Available int64  `json:"available" doc:"What a new program could use without swapping, in bytes."`
}

var _ op.Op[*host.Host, Room] = Memory{}

// Summary implements op.Op.
func (Memory) Summary() string { return "tell how much memory there is" }

// Do implements op.Op.
func (Memory) Do(_ context.Context, h *host.Host) (Room, error) {
	table := proc(h, "meminfo")
	r := Room{Total: kilobytes(table, "MemTotal"), Available: kilobytes(table, "MemAvailable")}
	if r.Total == 0 {
		return Room{}, errors.New("cannot tell how much memory there is: /proc/meminfo does not say")
	}
	return r, nil
}

// kilobytes finds "MemTotal:  8123456 kB" in /proc/meminfo, in bytes; 0 where it is not there.
func kilobytes(table, name string) int64 {
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name+":" && f[2] == "kB" {
			n, _ := strconv.ParseInt(f[1], 10, 53)
			return n << 10
		}
	}
	return 0
}
