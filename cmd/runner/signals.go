//go:build !windows

package main

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/erlmcp/runner/runtime/engine"
	"github.com/erlmcp/runner/runtime/event"
)

// signals turns what the process is sent into what the run should do. The first request to stop cancels the run; later
// ones are noted. Only a second SIGINT typed at a terminal, over a second behind the notice, abandons the undo: what
// drives runner from a program sends SIGINT, then SIGTERM, and means one thing by both.
type signals struct {
	cancel   context.CancelCauseFunc
	abandon  chan struct{}
	terminal bool
	now      func() time.Time
	note     func(string)

	asked   time.Time   // when the first request came; of the hearing goroutine alone
	undoing atomic.Bool // set by facts, which may arrive while a note is being written: no lock is held over either
	held    atomic.Bool
}

// stopCodes are the exit codes of a run that was stopped before it changed anything.
func stopCodes() map[os.Signal]*engine.Stopped {
	return map[os.Signal]*engine.Stopped{
		syscall.SIGINT:  {Signal: "SIGINT", Code: 130},
		syscall.SIGTERM: {Signal: "SIGTERM", Code: 143},
		syscall.SIGHUP:  {Signal: "SIGHUP", Code: 143},
	}
}

// listen starts hearing signals; the function that it returns stops that and waits.
func (s *signals) listen() func() {
	ch := make(chan os.Signal, 8)
	// SIGPIPE is heard so that it does not kill; SIGTSTP so that it does not stop a run that holds a lease. None is
	// ignored: programs that the run starts would inherit that.
	signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE, syscall.SIGTSTP)
	if !signal.Ignored(syscall.SIGHUP) { // nohup asks that the end of the terminal is not the end of the run
		signal.Notify(ch, syscall.SIGHUP)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sig := range ch {
			s.hear(sig)
		}
	}()
	return func() {
		signal.Stop(ch)
		close(ch)
		<-done
	}
}

func (s *signals) hear(sig os.Signal) {
	switch sig {
	case syscall.SIGPIPE:
	case syscall.SIGTSTP:
		s.suspend()
	default:
		s.stop(sig)
	}
}

func (s *signals) suspend() {
	if s.held.Load() {
		s.note("Ctrl-Z is ignored while the lease is held: a suspended run would keep everybody out")
		return
	}
	syscall.Kill(os.Getpid(), syscall.SIGSTOP)
}

func (s *signals) stop(sig os.Signal) {
	cause := stopCodes()[sig]
	if s.asked.IsZero() {
		s.asked = s.now()
		notice := cause.Signal + ": the run stops"
		if s.terminal {
			notice += "; Ctrl-C again, a second from now or later, gives up its undo"
		}
		s.cancel(cause) // first: an output that blocks must not keep the run from stopping
		s.note(notice)
		return
	}
	if sig == syscall.SIGINT && s.terminal && s.undoing.Load() && s.now().Sub(s.asked) > time.Second {
		select {
		case <-s.abandon:
		default:
			s.note("Ctrl-C again: the undo is given up; the next run takes it up")
			close(s.abandon)
		}
		return
	}
	s.note(cause.Signal + " again: the run is stopping already")
}

// Emit implements event.Sink: what the run does decides what a signal means.
func (s *signals) Emit(r event.Record) error {
	switch r.Fact.(type) {
	case event.RecoveryStarted, event.LeaseTaken: // a recovery comes before the run's own first word
		s.held.Store(true)
	case event.UndoStarted:
		s.undoing.Store(true)
	case event.RunFinished:
		s.held.Store(false)
		s.undoing.Store(false)
	}
	return nil
}
