// Package op is the vocabulary of effects: an op is one struct, fully described as data before it happens, and its
// class is the whole effect system. The package refuses to run anything by itself: performers do, around one another.
package op

import (
	"context"
	"fmt"
)

// An Op is one effect, and a struct: its fields are the builtin's parameters, the line in the plan, the record in the
// log and the reference page.
type Op[D, R any] interface {
	// Summary is one line, imperative: "switch /opt/erlmcp to 000042".
	Summary() string
	// Do has the effect. It honours ctx promptly and speaks by Output, Progress and Waiting.
	Do(ctx context.Context, d D) (R, error)
}

// Reversible is required of a Change.
type Reversible[D any] interface {
	// Inverse is called before Do and only reads. It gives the op that puts things back, registered by Undo; nil where
	// there will be nothing to put back. It is absolute: it names the state to return to and those it may replace.
	Inverse(ctx context.Context, d D) (any, error)
}

// Targeted is required of a Change: the id of what it changes, such as "host:/opt/erlmcp"; "" for one without a target,
// which is then recorded with every lease that the run holds.
type Targeted[D any] interface {
	Target(d D) string
}

// Previewer is an op that a plan can foresee. It writes nothing, sends nothing and does not wait.
type Previewer[D, R any] interface {
	Preview(ctx context.Context, d D) (R, error)
}

// Differ is an op whose plan shows, in lines for people, what would change. The rules are Preview's. What Do would fail by
// is a line behind Fails.
type Differ[D any] interface {
	Difference(ctx context.Context, d D) ([]string, error)
}

// Fails begins a line of a difference that says what a run would fail by.
const Fails = "! "

// Ready is a Change or a Final that can tell, before its start is on record, that it cannot even begin. It only looks.
type Ready[D any] interface {
	Ready(ctx context.Context, d D) error
}

// Witness is an op that can explain a failure that came after it.
type Witness[D any] interface {
	Evidence(ctx context.Context, d D) ([]Evidence, error)
}

// Contents marks an inverse that holds contents of the target: an old configuration, a resolved model. It is stored beside
// the undo log, readable by its owner alone, and stands in no record.
type Contents interface {
	HoldsContents()
}

// Staying is a Final behind which going back may do harm, such as a migration of data that the version before cannot read.
// Stays is why a failure is to leave what the run has changed; "" where it need not.
type Staying interface {
	Stays() string
}

// Graded is an op whose parameters decide its class; the class it is registered with is the strongest it may name.
type Graded interface {
	Grade() Class
}

// Checked is an op or a value with rules beyond its types. Check is pure, runs when a script makes the op or the value,
// and its error names the parameter.
type Checked interface {
	Check() error
}

// Evidence is something to read about a failure: a log's last lines, a process's state.
type Evidence struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Key names what an op makes, the same in every attempt: the run's id and the op's position. The engine sets a field of
// this type before Inverse; scripts never see it.
type Key string

// Class says what an op may do to the world, and so what happens to it in a plan and on undo.
type Class string

// The classes, weakest first. An Undo is the inverse of a Change and is performed by the engine alone.
const (
	ClassRead   Class = "read"   // looks
	ClassMake   Class = "make"   // makes what serves nobody yet; left on undo
	ClassChange Class = "change" // changes what serves; has an inverse
	ClassFinal  Class = "final"  // changes and cannot be taken back
	ClassUndo   Class = "undo"   // puts a change back
)

// Restored is the result of every Undo op.
type Restored struct {
	Already bool   `json:"already,omitempty"` // it was as wanted; nothing was done
	Live    string `json:"live,omitempty"`    // what serves now, where the op knows
}

// Nothing is Restored.Live where nothing serves.
const Nothing = "nothing"

// Conflict is an Undo's error where the world is neither as wanted nor as the op left it: a person, or something else,
// has changed it since. Nothing was touched.
type Conflict struct {
	What   string // "/opt/erlmcp/current"
	Wanted string
	Found  string
}

func (c *Conflict) Error() string {
	return fmt.Sprintf("%s is %s, which neither this run nor the one before it made; wanted %s; left alone", c.What, c.Found, c.Wanted)
}

// Misuse is an error of a script that calls an op, or asks the run for something, where that cannot be right: attempt
// does not catch it.
type Misuse struct{ Err error }

func (m *Misuse) Error() string { return m.Err.Error() }

// Unwrap gives the cause.
func (m *Misuse) Unwrap() error { return m.Err }

// Again is an error by which an op asks to be tried again: the same Key, the first inverse.
type Again struct {
	Err   error
	Tries int // in all, the first included
}

func (a *Again) Error() string { return a.Err.Error() }

// Unwrap gives the cause.
func (a *Again) Unwrap() error { return a.Err }

// Judged is a result that says whether what serves is healthy, for the verdict.
type Judged interface {
	IsHealthy() bool
}

// Live is a result that says what the target serves after the op, for the verdict.
type Live interface {
	LiveVersion() string
}

type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// Hint adds what to do about an error, printed on a line of its own.
func Hint(err error, format string, args ...any) error {
	return hinted{err, fmt.Sprintf(format, args...)}
}

// A Performer performs ops; every effect of a run passes through one. Planning, journaling and confirming are each a
// Performer around another.
type Performer interface {
	Perform(ctx context.Context, o Bound) (any, error)
}

// Unknown is what a plan gives as the result of an op that it could not perform or preview.
type Unknown struct {
	After string // the op's name: "build.go"
}

// String is how the value stands in every text of the plan.
func (u Unknown) String() string { return "‹known after " + u.After + "›" }
