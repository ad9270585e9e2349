//go:build !windows

package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/erlmcp/runner/builtins/notify"
	"github.com/erlmcp/runner/builtins/project"
	"github.com/erlmcp/runner/runtime/engine"
	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
)

// How long a notice may take: one while the run goes on, and all that are left when it is over. A run that was asked to
// stop has less time: whoever asks kills soon.
const (
	noticeTime  = 10 * time.Second
	farewell    = 5 * time.Second
	farewellAsk = 2 * time.Second
)

// messenger tells the notices of an environment what becomes of a run. It is a sink that never makes the run wait: each
// notice has a queue and a goroutine of its own, and what does not fit into the queue is dropped and noted.
type messenger struct {
	host   *host.Host
	note   func(string)
	ctx    context.Context // of every delivery
	cancel context.CancelCauseFunc
	queues []queue
	wait   sync.WaitGroup

	// Of the run, which emits one record at a time.
	about   notify.Message
	leased  bool
	failed  bool
	undone  bool
	dropped int
}

type queue struct {
	notice   notify.Notice
	messages chan notify.Message
}

// room is how many messages a queue takes: more than a run has, unless it recovers many others.
const room = 32

// messenger is nil where the environment has no notices.
func (p *program) messenger(env any, h *host.Host, started event.RunStarted) *messenger {
	e, ok := env.(project.Environment)
	if !ok || len(e.Notices()) == 0 {
		return nil
	}
	m := &messenger{host: h, about: notify.Message{
		App: e.App, Environment: started.Environment, Script: started.Script, User: started.User, Host: started.Host}}
	m.ctx, m.cancel = context.WithCancelCause(context.Background())
	for _, n := range e.Notices() {
		if n, ok := n.(notify.Notice); ok {
			m.queues = append(m.queues, queue{n, make(chan notify.Message, room)})
		}
	}
	return m
}

// begin starts the deliveries; note tells the operator of one that fails.
func (m *messenger) begin(note func(string)) {
	if m == nil {
		return
	}
	m.note = note
	for _, q := range m.queues {
		m.wait.Go(func() {
			for message := range q.messages {
				m.deliver(q.notice, message)
			}
		})
	}
}

func (m *messenger) deliver(n notify.Notice, message notify.Message) {
	ctx, cancel := m.host.Clock.Timeout(m.ctx, noticeTime, fmt.Errorf("no answer within %s", noticeTime))
	defer cancel()
	if err := notify.Deliver(ctx, m.host, n, message); err != nil {
		m.note(err.Error())
	}
}

// end waits until everything is delivered, for so long at most.
func (m *messenger) end(limit time.Duration) {
	if m == nil {
		return
	}
	if m.dropped > 0 {
		m.note(several(m.dropped, "message") + " for notices dropped: too many at once")
	}
	for _, q := range m.queues {
		close(q.messages)
	}
	done := make(chan struct{})
	go func() { m.wait.Wait(); close(done) }()
	ctx, cancel := m.host.Clock.Timeout(context.Background(), limit, fmt.Errorf("no answer within %s of the end of the run", limit))
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
		m.cancel(context.Cause(ctx))
		<-done
	}
	m.cancel(nil)
}

// Emit implements event.Sink. A run that takes no lease changes nothing, so that only its failure is told.
func (m *messenger) Emit(r event.Record) error {
	m.about.Run = r.Run
	switch f := r.Fact.(type) {
	case event.LeaseTaken:
		if !m.leased {
			m.leased = true
			m.tell(notify.Message{Event: notify.Started})
		}
	case event.RunFailed:
		m.failed = true
		m.tell(notify.Message{Event: notify.Failed, Error: f.Error})
	case event.UndoStarted:
		m.undone = m.failed // before that, it is one of attempt
	case event.RecoveryFinished:
		message := notify.Message{Event: notify.Recovered, Dead: f.Dead, Version: f.Live}
		if !f.Complete {
			message.Error = "the next run goes on with it"
		}
		m.tell(message)
	case event.RunFinished:
		m.finish(f)
	}
	return nil
}

func (m *messenger) finish(f event.RunFinished) {
	switch {
	case m.undone:
		m.tell(notify.Message{Event: notify.Undone, Version: f.Live, Error: differs(f)})
	case f.Exit == 0 && m.leased:
		m.tell(notify.Message{Event: notify.Finished, Version: f.Live})
	}
}

// differs is what is not as it was behind an undo, "" where everything is.
func differs(f event.RunFinished) string {
	switch {
	case f.Exit == engine.ExitTakenBack:
		return ""
	case f.Exit == engine.ExitStays:
		return "it failed behind its commit, and what it committed stays"
	case len(f.Differs)+len(f.Finals) > 0:
		return strings.Join(append(f.Differs, f.Finals...), "; ")
	}
	return fmt.Sprintf("exit %d", f.Exit)
}

// tell puts a message into the queues of those who want it.
func (m *messenger) tell(message notify.Message) {
	a := m.about
	message.Run, message.App, message.Environment, message.Script, message.User, message.Host = a.Run, a.App, a.Environment, a.Script, a.User, a.Host
	for _, q := range m.queues {
		if !q.notice.Wants(message.Event) {
			continue
		}
		select {
		case q.messages <- message:
		default: // noted at the end: a note from here would wait for the run, which waits for this
			m.dropped++
		}
	}
}
