// Package engine performs ops and keeps the promise about them: it records before it acts, takes back what failed, and
// recovers what a dead run left. It renders nothing and knows no family.
package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/journal"
	"github.com/erlmcp/runner/runtime/op"
)

// Config is what a run depends on.
type Config struct {
	ID       string // unique, begins with the time
	Host     *host.Host
	Registry *op.Registry
	Started  event.RunStarted
	Journal  journal.Writer // every fact; nil for none
	Sinks    []event.Sink

	// Home finds where the target of an environment keeps its lease and undo logs.
	Home  func(target any) (id string, home journal.Home, err error)
	Owner journal.Owner
	Queue bool // wait for a lease that is held

	NoUndo      bool
	UndoTimeout time.Duration   // 5 minutes when 0
	Abandon     <-chan struct{} // closed to give up an undo

	// Explain turns the error of a script into a fact. Mistake says of one that the script is wrong, not the world;
	// Catchable, that attempt may catch it.
	Explain   func(error) event.RunFailed
	Mistake   func(error) bool
	Catchable func(error) bool
	// Ask puts a question to a person: an error where nobody can answer.
	Ask func(ctx context.Context, question string) (bool, error)
}

// Run is one execution of a script. It is safe for the concurrent use that Parallel makes of it.
type Run struct {
	Config

	mu       sync.Mutex
	seq      int64
	order    int64             // of changes and checks
	counts   map[string]int    // ops per branch
	held     map[string]*lease // by target
	state    journal.State     // of this run
	logs     map[int64][]*lease
	touched  map[string]string // target -> the branch that changed it last
	attempts int
	live     string
	wanted   string
	healthy  *bool
	begun    time.Time
}

type lease struct {
	journal.Lease
	home   journal.Home
	target string
	log    journal.Writer
}

// append writes to the undo log, unless the lease is lost: then whoever took it writes there.
func (l *lease) append(ctx context.Context, r event.Record, durable bool) error {
	if err := l.Check(ctx); err != nil {
		return err
	}
	return l.log.Append(ctx, r, durable)
}

// New makes a run. Nothing is written before Main.
func New(c Config) *Run {
	if c.UndoTimeout == 0 {
		c.UndoTimeout = 5 * time.Minute
	}
	return &Run{Config: c, counts: map[string]int{}, held: map[string]*lease{}, logs: map[int64][]*lease{}, touched: map[string]string{}}
}

// emit makes a fact durable in the undo logs it belongs to, then tells the journal and the sinks. Only an undo log's
// failure is an error: the others are dropped, and noted.
func (r *Run) emit(f event.Fact, durable bool, logs ...*lease) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.emitLocked(f, durable, logs...)
}

func (r *Run) emitLocked(f event.Fact, durable bool, logs ...*lease) error {
	f = op.MapStrings(f, r.Host.Secrets.Scrubber.String).(event.Fact)
	r.seq++
	rec := event.Record{Seq: r.seq, Time: r.Host.Clock.Now().UTC(), Run: r.ID, Fact: f}
	var failed error
	for _, l := range logs {
		// An effect needs its record, cancelled or not: the context of the op is not used here.
		failed = errors.Join(failed, l.append(context.Background(), rec, durable))
	}
	if failed != nil {
		return failed
	}
	r.state.Add(rec)
	r.tell(rec)
	return nil
}

func (r *Run) tell(rec event.Record) {
	var lost []string
	if r.Journal != nil {
		if err := r.Journal.Append(context.Background(), rec, false); err != nil {
			r.Journal = nil
			lost = append(lost, "the journal of this run ends here: "+err.Error())
		}
	}
	for i := 0; i < len(r.Sinks); i++ {
		if err := r.Sinks[i].Emit(rec); err != nil {
			r.Sinks = append(r.Sinks[:i:i], r.Sinks[i+1:]...)
			lost = append(lost, "an output is dropped: "+err.Error())
			i--
		}
	}
	for _, text := range lost {
		r.seq++
		r.tell(event.Record{Seq: r.seq, Time: rec.Time, Run: r.ID, Fact: event.Noted{Text: text}})
	}
}

// lost is the error of a lease that this run took and does not hold any more.
func (r *Run) lost(ctx context.Context) error {
	for _, l := range r.leases() {
		if err := l.Check(ctx); errors.Is(err, journal.ErrLost) {
			return err
		}
	}
	return nil
}

// Note tells an operator something that needs no answer.
func (r *Run) Note(text string) { r.emit(event.Noted{Text: text}, false) }

// Stage opens a named stretch of the run.
func (r *Run) Stage(name, at string) { r.emit(event.StageStarted{Name: name, At: at}, false) }

// Print is the script's print.
func (r *Run) Print(text, at string) { r.emit(event.Printed{Text: text, At: at}, false) }

// Confirm asks a person. No, and nobody to ask, are op.Refused.
func (r *Run) Confirm(ctx context.Context, question, at string) error {
	switch yes, err := r.Ask(ctx, question); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &op.Refused{Why: question + " " + err.Error()}
	case !yes:
		return &op.Refused{Why: question + " was answered no"}
	}
	r.emit(event.Noted{Text: question + " yes"}, false)
	return nil
}

// leases lists what the run holds.
func (r *Run) leases() []*lease {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*lease
	for _, l := range r.held {
		out = append(out, l)
	}
	return out
}
