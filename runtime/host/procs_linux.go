package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Linux is the machine's processes, as /proc shows them.
type Linux struct {
	Boot string
	Mask string // the umask of what it starts; this process's when left out
}

// BootID is the id of this boot of the machine.
func BootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}

// gate is the shell that stands at the start of every process: it waits for a line on descriptor 3 and becomes the
// program, or meets the end of file there, because the runner is gone, and exits.
const gate = `read -r go <&3 || exit 125; exec 3<&- "$@"`

func (l Linux) command(c Cmd) (*exec.Cmd, *os.File, error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return nil, nil, errors.New("cannot start a process: no program is named")
	}
	prog, err := LookPath(c)
	if err != nil {
		return nil, nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command("/bin/sh", append([]string{"-c", l.mask() + gate, "sh", prog}, c.Argv[1:]...)...)
	cmd.Dir, cmd.Env, cmd.Stdin = c.Dir, c.Env, c.Stdin
	cmd.ExtraFiles = []*os.File{r}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if cmd.SysProcAttr.Credential, err = lookUp(c.User); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("cannot start %s: %w", c.Argv[0], err), r.Close(), w.Close())
	}
	return cmd, w, nil
}

func (l Linux) mask() string {
	if l.Mask == "" {
		return ""
	}
	return "umask " + l.Mask + "; "
}

// LookPath finds the program before anything is started: in the PATH that the process will have, or from its directory.
func LookPath(c Cmd) (string, error) {
	prog := c.Argv[0]
	if strings.Contains(prog, "/") {
		path := prog
		if !filepath.IsAbs(path) {
			path = filepath.Join(c.Dir, path)
		}
		if err := executable(path); err != nil {
			return "", fmt.Errorf("cannot start %s: %w", prog, err)
		}
		return path, nil
	}
	for _, kv := range c.Env {
		dirs, ok := strings.CutPrefix(kv, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(dirs) {
			if path := filepath.Join(dir, prog); filepath.IsAbs(path) && executable(path) == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("cannot start %s: it is not in PATH", prog)
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return errors.Unwrap(err)
	}
	if info.IsDir() {
		return errors.New("it is a directory")
	}
	return unix.Access(path, unix.X_OK)
}

func (l Linux) identify(pid int) (Proc, error) {
	start, _, err := procStat(pid)
	return Proc{PID: pid, Start: start, Boot: l.Boot}, err
}

// procStat reads the start time and the state of a process. One whose first thread has ended counts as a zombie only
// when its other threads have ended too: until then they hold what it has opened.
func procStat(pid int) (start uint64, state byte, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, err
	}
	_, rest, ok := bytes.Cut(b[bytes.LastIndexByte(b, ')'):], []byte(" ")) // the name may hold anything, also ")"
	fields := bytes.Fields(rest)
	if !ok || len(fields) < 20 {
		return 0, 0, fmt.Errorf("cannot read /proc/%d/stat", pid)
	}
	start, err = strconv.ParseUint(string(fields[19]), 10, 64)
	threads, _ := strconv.Atoi(string(fields[17]))
	if state = fields[0][0]; state == 'Z' && threads > 1 {
		state = 'R'
	}
	return start, state, err
}

// Find implements Procs.
func (l Linux) Find(pid int) (Proc, bool) {
	p, err := l.identify(pid)
	return p, err == nil
}

// Alive implements Procs.
func (l Linux) Alive(p Proc) bool {
	if p.PID <= 0 || p.Boot != l.Boot {
		return false
	}
	start, state, err := procStat(p.PID)
	return err == nil && start == p.Start && state != 'Z' && state != 'X'
}

// gateProgram is the place of the program among the arguments of the gate.
const gateProgram = 4

// settle and settleWithin are how often, and for how long, a program is looked at that somebody has open for writing.
const (
	settle       = time.Millisecond
	settleWithin = time.Second
)

// settled waits until nobody has a program open for writing: the kernel starts no such file ("Text file busy"). A file
// that this process has just written is open in every child that another thread has begun meanwhile, until the kernel
// has closed it there on the way to the child's program, and no event tells of that (golang.org/issue/22315). A lease
// for reading is had when there is no writer. What cannot be asked about, because it is another user's, is let through.
func (Linux) settled(ctx context.Context, prog string) error {
	f, err := os.Open(prog)
	if err != nil {
		return nil
	}
	defer f.Close()
	limited, cancel := SystemClock{}.Timeout(ctx, settleWithin, nil)
	defer cancel()
	for {
		_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
		if err == nil {
			_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
			return err
		}
		if err != unix.EAGAIN || (SystemClock{}).Sleep(limited, settle) != nil {
			return context.Cause(ctx)
		}
	}
}

func open(w *os.File) error {
	_, err := w.WriteString("go\n")
	return err
}

// Spawn implements Procs.
func (l Linux) Spawn(ctx context.Context, c Cmd, started func(Proc) error) (Proc, error) {
	cmd, w, err := l.command(c)
	if err != nil {
		return Proc{}, err
	}
	defer w.Close()
	defer cmd.ExtraFiles[0].Close()
	log, err := os.OpenFile(c.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return Proc{}, fmt.Errorf("cannot open the log of %s: %w", c.Argv[0], err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr.Setsid = true
	if err := cmd.Start(); err != nil {
		return Proc{}, fmt.Errorf("cannot start %s: %w", c.Argv[0], err)
	}
	go cmd.Wait() // reaps it, should it end before the runner does
	p, err := l.identify(cmd.Process.Pid)
	if err == nil {
		err = started(p)
	}
	if err == nil {
		err = l.settled(ctx, cmd.Args[gateProgram])
	}
	if err == nil {
		err = open(w)
	}
	return p, err
}

// Run implements Procs.
func (l Linux) Run(ctx context.Context, c Cmd, started func(Proc) error) (Exit, error) {
	cmd, w, err := l.command(c)
	if err != nil {
		return Exit{}, err
	}
	defer w.Close()
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	cmd.SysProcAttr.Setsid = true // with a group alone, a Ctrl-Z as it starts would stop it, and us with it
	if c.Leash {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	cmd.WaitDelay = time.Second // for output that a grandchild holds open
	err = cmd.Start()
	cmd.ExtraFiles[0].Close()
	if err != nil {
		return Exit{}, fmt.Errorf("cannot start %s: %w", c.Argv[0], err)
	}
	p, err := l.identify(cmd.Process.Pid)
	if err == nil && started != nil {
		err = started(p)
	}
	if err == nil {
		err = l.settled(ctx, cmd.Args[gateProgram])
	}
	if err == nil {
		err = open(w)
	}
	if err != nil { // the gate meets its end of file and exits
		w.Close()
		cmd.Wait()
		return Exit{}, err
	}
	return l.await(ctx, cmd, p, c.Grace)
}

func (l Linux) await(ctx context.Context, cmd *exec.Cmd, p Proc, grace time.Duration) (Exit, error) {
	if grace == 0 {
		grace = 5 * time.Second
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait(); close(done) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		unix.Kill(-p.PID, syscall.SIGTERM)
		t := time.NewTimer(grace)
		select {
		case <-done:
		case <-t.C:
		}
		t.Stop()
		unix.Kill(-p.PID, syscall.SIGKILL) // also what the leader left behind in its group
		<-done
		return Exit{}, context.Cause(ctx)
	}
	if e := (*exec.ExitError)(nil); err != nil && !errors.As(err, &e) && !errors.Is(err, exec.ErrWaitDelay) {
		return Exit{}, err
	}
	ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return Exit{Code: -1, Signal: ws.Signal().String()}, nil
	}
	return Exit{Code: ws.ExitStatus()}, nil
}

// Wait implements Procs. It watches the process by a pidfd: nothing is polled.
func (l Linux) Wait(ctx context.Context, p Proc) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) || err == nil && !l.Alive(p) {
		if err == nil {
			unix.Close(fd)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot watch process %d: %w", p.PID, err)
	}
	defer unix.Close(fd)
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	stop := context.AfterFunc(ctx, func() { w.Close() })
	defer func() {
		if stop() {
			w.Close()
		}
	}()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(r.Fd()), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if fds[0].Revents != 0 {
			return nil
		}
		if fds[1].Revents != 0 {
			return context.Cause(ctx)
		}
	}
}

// Stop implements Procs.
func (l Linux) Stop(ctx context.Context, p Proc, sig syscall.Signal, grace time.Duration) error {
	if !l.Alive(p) {
		return l.endOrphans(p)
	}
	if err := unix.Kill(-p.PID, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("cannot signal process %d: %w", p.PID, err)
	}
	polite, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if l.Wait(polite, p) == nil {
		return l.endOrphans(p)
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if l.Alive(p) {
		unix.Kill(-p.PID, syscall.SIGKILL)
	}
	hard, cancel := context.WithTimeout(ctx, 5*time.Second) // a process in an uninterruptible wait outlives SIGKILL
	defer cancel()
	if err := l.Wait(hard, p); err != nil {
		return fmt.Errorf("cannot end process %d: it is still there 5 s after SIGKILL", p.PID)
	}
	return nil
}

// endOrphans kills what is left in the group of a process that is gone. Its id cannot be anybody else's while a member
// lives; a living process of that id that is not p means that the group ended and the id came round again.
func (l Linux) endOrphans(p Proc) error {
	if p.Boot != l.Boot || !ended(p) {
		return nil
	}
	if err := unix.Kill(-p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("cannot end what process %d left behind: %w", p.PID, err)
	}
	return nil
}

// ended looks once: between two looks its parent may take note of its end.
func ended(p Proc) bool {
	start, state, err := procStat(p.PID)
	return err != nil || start == p.Start && (state == 'Z' || state == 'X')
}
