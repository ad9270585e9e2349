package driver

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// headless is the variable that makes this test, run alone, a program whose first thread has ended and whose others go on.
const headless = "RUNNER_TEST_HEADLESS"

// loseFirstThread listens, ends the process's first thread, says on which port it listens, and goes on for ever.
func loseFirstThread() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	first := make(chan bool)
	for lost := false; !lost; {
		go func() {
			runtime.LockOSThread()
			if unix.Gettid() == os.Getpid() {
				first <- true
				syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
			}
			first <- false
			select {}
		}()
		lost = <-first
	}
	for state := ""; state != "Z"; {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", os.Getpid()))
		if err != nil {
			panic(err)
		}
		state = strings.Fields(string(b[strings.LastIndex(string(b), ")")+2:]))[0]
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	select {}
}

// /proc shows a process whose first thread has ended as a zombie. It holds its port as long as another thread lives, and
// is not gone.
func TestFirstThreadEnded(t *testing.T) {
	if os.Getenv(headless) != "" {
		loseFirstThread()
	}
	p := newPlace(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestFirstThreadEnded$")
	cmd.Env = append(os.Environ(), headless+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	p.must(err)
	p.must(cmd.Start())
	defer cmd.Wait()
	defer syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	line, err := bufio.NewReader(out).ReadString('\n')
	p.must(err)
	port, err := strconv.Atoi(strings.TrimSpace(line))
	p.must(err)
	s := process("true")
	s.Port = port
	_, digest := p.store(s)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	p.must(err)
	r := Running{Unit: digest, Proc: p.start(process("true")).Proc}
	r.Proc.PID = cmd.Process.Pid
	fields := strings.Fields(string(b[strings.LastIndex(string(b), ")")+2:]))
	r.Proc.Start, err = strconv.ParseUint(fields[19], 10, 64)
	p.must(err)
	p.must(r.record(p.h, p.root))
	if !p.current().Serves() {
		t.Errorf("it is taken for gone: %s", b)
	}
	p.must(Stop(t.Context(), p.h, p.root, p.current()))
	p.must(Start(t.Context(), p.h, p.root, digest))
}
