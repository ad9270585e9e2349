package host

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// PortOwner implements Procs, from the sockets that listen and, where one does, the descriptors of the processes that may
// be read, the newest first: what listens was mostly started later than the machine.
func (l Linux) PortOwner(port int) (PortOwner, bool) {
	sockets := map[string]bool{}
	inodes, err := diagnosed(port)
	for _, n := range inodes {
		sockets[fmt.Sprintf("socket:[%d]", n)] = true
	}
	if err != nil {
		sockets = tabled(port)
	}
	if len(sockets) == 0 {
		return PortOwner{}, false
	}
	pids := numbers("/proc")
	slices.Sort(pids)
	for _, pid := range slices.Backward(pids) {
		proc := "/proc/" + strconv.Itoa(pid)
		if holds(proc+"/fd/", sockets) {
			name, _ := os.ReadFile(proc + "/comm")
			return PortOwner{PID: pid, Name: strings.TrimSpace(string(name)), Group: group(pid)}, true
		}
	}
	return PortOwner{}, true
}

// tabled gives the sockets that listen on a port, as links to them read, from the tables that every kernel has.
func tabled(port int) map[string]bool {
	sockets, suffix := map[string]bool{}, fmt.Sprintf(":%04X", port)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, _ := os.ReadFile(table)
		for line := range strings.Lines(string(b)) {
			const listening, inode = "0A", 9
			if f := strings.Fields(line); len(f) > inode && f[3] == listening && strings.HasSuffix(f[1], suffix) {
				sockets["socket:["+f[inode]+"]"] = true
			}
		}
	}
	return sockets
}

// holds reports whether one of the descriptors in a folder is one of the sockets.
func holds(dir string, sockets map[string]bool) bool {
	var link [64]byte
	for _, fd := range numbers(dir) {
		if n, err := unix.Readlink(dir+strconv.Itoa(fd), link[:]); err == nil && sockets[string(link[:n])] {
			return true
		}
	}
	return false
}

// numbers are the names in a folder that are numbers.
func numbers(dir string) (all []int) {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			all = append(all, n)
		}
	}
	return all
}

func group(pid int) int {
	g, err := unix.Getpgid(pid)
	if err != nil {
		return 0
	}
	return g
}
