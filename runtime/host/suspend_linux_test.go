package host

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// TestSuspendedAsItStarts: Ctrl-Z, which the terminal sends to all of a process group, may come in the instant in which a
// child is made. A child that stopped before it has become its program would stop its maker with it, for good.
func TestSuspendedAsItStarts(t *testing.T) {
	if os.Getenv("RUNNER_SUSPENDED") == "" {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		self := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestSuspendedAsItStarts$", "-test.v")
		self.Env = append(os.Environ(), "RUNNER_SUSPENDED=1")
		self.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		self.Cancel = func() error { return syscall.Kill(-self.Process.Pid, syscall.SIGKILL) }
		if out, err := self.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGTSTP)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				syscall.Kill(0, syscall.SIGTSTP)
			}
		}
	}()
	for range 100 {
		if exit, err := (Linux{}).Run(t.Context(), Cmd{Argv: []string{"/bin/true"}}, nil); err != nil || exit != (Exit{}) {
			t.Fatalf("%+v, %v", exit, err)
		}
	}
	close(stop)
	<-ended
	signal.Stop(ch)
}
