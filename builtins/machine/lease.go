package machine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Lease looks whether a run holds a host root.
type Lease struct {
	_    op.Doc `doc:"Looks whether a run holds the lease of a host root, and whether somebody keeps everybody from changing it. It takes nothing and disturbs nobody who does."`
	Root string `json:"root" doc:"The host root."`
}

// Leased is whether a run holds a host root.
type Leased struct {
	_     op.Doc    `doc:"Whether a run holds a host root."`
	Held  bool      `json:"held" doc:"Whether a run holds its lease."`
	Run   string    `json:"run" doc:"That run's id, empty where it has not said it yet."`
	By    string    `json:"by" doc:"Who started it, where and as which process."`
	Since time.Time `json:"since,omitzero" doc:"Since when; None where that is not known."`
	Hold  *Hold     `json:"hold,omitempty" doc:"Who keeps everybody from changing it; None where nobody does."`
}

// Hold is who keeps everybody from changing a target.
type Hold struct {
	_       op.Doc    `doc:"Who keeps everybody from changing a target."`
	Who     string    `json:"who" doc:"Who does."`
	Why     string    `json:"why" doc:"The reason."`
	Since   time.Time `json:"since,omitzero" doc:"Since when."`
	Until   time.Time `json:"until,omitzero" doc:"Until when; None for until somebody ends it."`
	Problem string    `json:"problem,omitempty" doc:"Why the record cannot be read; it counts all the same."`
}

var (
	_ op.Op[*host.Host, Leased] = Lease{}
	_ op.Checked                = Lease{}
)

// Summary implements op.Op.
func (l Lease) Summary() string { return "look whether a run holds " + l.Root }

// Check implements op.Checked.
func (l Lease) Check() error { return checkPath("root", l.Root) }

// Do implements op.Op.
func (l Lease) Do(_ context.Context, h *host.Host) (Leased, error) {
	dir := filepath.Join(h.Abs(l.Root), ".runner")
	out := Leased{Hold: readHold(h, filepath.Join(dir, "hold"))}
	name := filepath.Join(dir, "lease")
	info, err := h.Files.Stat(name)
	switch {
	case absent(err):
		return out, nil
	case err != nil:
		out := fmt.Errorf("cannot look at the lease of %s: %s", l.Root, why(err))
		if errors.Is(err, fs.ErrPermission) {
			out = op.Hint(out, "run it as a user who may look there; \"runner setup ENVIRONMENT\" once, as root, lets those deploy who shall")
		}
		return Leased{}, out
	}
	by := readOwner(h, name)
	pid, held := locker(h, name, info, by.PID)
	if !held {
		return out, nil
	}
	out.Held, out.By = true, fmt.Sprintf("process %d", pid)
	if by.PID == pid || by.PID > 0 && pid == 0 {
		out.Run, out.Since = by.Run, by.Since
		out.By = fmt.Sprintf("%s on %s, process %d (%s)", by.User, by.Host, by.PID, by.Script)
	}
	return out, nil
}

// owner is what a run writes into the file by which it holds the lease.
type owner struct {
	Run    string    `json:"run"`
	User   string    `json:"user"`
	Host   string    `json:"host"`
	PID    int       `json:"pid"`
	Script string    `json:"script"`
	Since  time.Time `json:"since"`
}

// readOwner is who has signed the lease last. What is being written at this moment reads as nobody.
func readOwner(h *host.Host, name string) (o owner) {
	if b, err := host.ReadFile(h.Files, name, 64<<10); err != nil || json.Unmarshal(b, &o) != nil {
		return owner{}
	}
	return o
}

// locker finds the process that has locked a file, without a lock of its own, which a run that comes at this moment would
// meet. It asks the list of all locks, and where that names devices otherwise than stat(2) does, as it can on file
// systems in layers, the process that has signed: an inode's number alone may be another file's.
func locker(h *host.Host, name string, info fs.FileInfo, signed int) (pid int, held bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	dev := fmt.Sprintf("%02x:%02x", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)))
	for _, l := range flocks(proc(h, "locks")) {
		if l.inode == uint64(st.Ino) && l.device == dev {
			return l.pid, true
		}
	}
	fds := fmt.Sprintf("/proc/%d/fd", signed)
	entries, err := h.Files.ReadDir(fds)
	if signed == 0 || err != nil {
		return 0, false
	}
	for _, e := range entries {
		open, err := h.Files.Stat(filepath.Join(fds, e.Name()))
		if err != nil || !os.SameFile(open, info) {
			continue
		}
		if strings.Contains(proc(h, fmt.Sprintf("%d/fdinfo/%s", signed, e.Name())), "FLOCK") {
			return signed, true
		}
	}
	return 0, false
}

type flock struct {
	pid    int
	device string
	inode  uint64
}

// flocks are the locks by flock(2) that are held, of lines such as "1: FLOCK  ADVISORY  WRITE 123 fe:01:4711 0 EOF". Those
// with an arrow are waited for.
func flocks(table string) (out []flock) {
	lines := bufio.NewScanner(strings.NewReader(table))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 6 || f[1] != "FLOCK" {
			continue
		}
		cut := strings.LastIndexByte(f[5], ':')
		pid, bad := strconv.Atoi(f[4])
		inode, err := strconv.ParseUint(f[5][cut+1:], 10, 64)
		if cut > 0 && bad == nil && err == nil {
			out = append(out, flock{pid, f[5][:cut], inode})
		}
	}
	return out
}

// readHold is the hold on a target, nil where there is none or its time has passed.
func readHold(h *host.Host, name string) *Hold {
	b, err := host.ReadFile(h.Files, name, 64<<10)
	if absent(err) {
		return nil
	}
	var hold Hold
	if err == nil && (json.Unmarshal(b, &hold) != nil || hold.Who == "" || hold.Why == "" || hold.Since.IsZero()) {
		err = errors.New("it does not say who, why and since when")
	}
	if err != nil {
		return &Hold{Problem: fmt.Sprintf("cannot read %s: %s", name, why(err))}
	}
	hold.Problem = ""
	if !hold.Until.IsZero() && !h.Clock.Now().Before(hold.Until) {
		return nil
	}
	return &hold
}
