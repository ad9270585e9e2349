package event

import (
	"encoding/json"
	"time"
)

// RunStarted opens a run.
type RunStarted struct {
	Command     string   `json:"command"` // "run", "plan", "undo"
	Script      string   `json:"script"`
	Args        []string `json:"args,omitempty"`
	Environment string   `json:"environment,omitempty"`
	Project     string   `json:"project,omitempty"`
	BuiltIn     []string `json:"built_in,omitempty"` // files that came from runner itself
	Host        string   `json:"host,omitempty"`
	User        string   `json:"user,omitempty"`
	PID         int      `json:"pid,omitempty"`
	Version     string   `json:"version,omitempty"`
}

// StageStarted opens a named stretch of the run, which lasts until the next one.
type StageStarted struct {
	Name string `json:"name"`
	At   string `json:"at,omitempty"`
}

// OpStarted is durable before the op's effect. For a Change it carries the inverse; a Change or Final without one says so.
type OpStarted struct {
	Op        string          `json:"op"`   // position: "7", "7/web/2"
	Name      string          `json:"name"` // "releases.activate"
	Class     string          `json:"class"`
	Summary   string          `json:"summary"`
	At        string          `json:"at,omitempty"` // deploy.star:31:5
	Target    string          `json:"target,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Inverse   json.RawMessage `json:"inverse,omitempty"`    // an op on the wire
	NoInverse string          `json:"no_inverse,omitempty"` // why there is none
	Stays     string          `json:"stays,omitempty"`      // why a failure from here on leaves what was changed
	Order     int64           `json:"order,omitempty"`      // order among all changes of the run, whatever their log
}

// OpOutput is one line that an op wrote.
type OpOutput struct {
	Op   string `json:"op"`
	Text string `json:"text"`
}

// OpProgress is how far an op has come; Total is 0 where it is not known.
type OpProgress struct {
	Op    string `json:"op"`
	Done  int64  `json:"done"`
	Total int64  `json:"total,omitempty"`
	Unit  string `json:"unit,omitempty"`
}

// OpWaiting says what an op waits for, and until when at most.
type OpWaiting struct {
	Op    string    `json:"op"`
	What  string    `json:"what"`
	Until time.Time `json:"until"`
}

// OpFinished closes an op; Error is empty where it held.
type OpFinished struct {
	Op      string          `json:"op"`
	Name    string          `json:"name"`
	Seconds float64         `json:"seconds"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   string          `json:"error,omitempty"`
}

// OpPlanned is an op that a plan foresees.
type OpPlanned struct {
	Op         string          `json:"op"`
	Name       string          `json:"name"`
	Class      string          `json:"class"`
	Summary    string          `json:"summary"`
	At         string          `json:"at,omitempty"`
	Target     string          `json:"target,omitempty"`
	Difference []string        `json:"difference,omitempty"`
	Result     json.RawMessage `json:"result,omitempty"`
}

// PlanEnded closes a plan. KnownTo is the position behind which nothing could be foreseen; empty where all was.
type PlanEnded struct {
	Changes int    `json:"changes"`
	Refused int    `json:"refused,omitempty"` // lines of differences that say what a run would fail by
	KnownTo string `json:"known_to,omitempty"`
	Why     string `json:"why,omitempty"`
}

// ChildStarted names a process that a run started and must outlive. Start is field 22 of /proc/PID/stat, Boot the
// machine's boot id: with both, a recycled pid is never taken for it.
type ChildStarted struct {
	Op    string `json:"op"`
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
	Boot  string `json:"boot"`
	Name  string `json:"name"`
}

// LeaseWaited says behind whom a run waits.
type LeaseWaited struct {
	Target string    `json:"target"`
	Holder string    `json:"holder"`
	Until  time.Time `json:"until,omitzero"`
}

// LeaseTaken says that the run may change the target. Turn counts the runs that held this lease; it orders them where
// clocks cannot.
type LeaseTaken struct {
	Target string `json:"target"`
	Turn   int64  `json:"turn,omitempty"`
	At     string `json:"at,omitempty"`
}

// CheckAsked is an op to be performed at the end of an undo, as on_undo registers it.
type CheckAsked struct {
	Op      string          `json:"op"`
	Name    string          `json:"name"`
	Summary string          `json:"summary"`
	At      string          `json:"at,omitempty"`
	Params  json.RawMessage `json:"params"`
	Order   int64           `json:"order,omitempty"`
}

// RecoveryStarted says that an unfinished run was found and is taken back.
type RecoveryStarted struct {
	Dead   string `json:"dead"`
	Target string `json:"target"`
	What   string `json:"what,omitempty"` // who ran it and when
}

// RecoveryFinished closes a recovery; Complete is false where something is not as it was.
type RecoveryFinished struct {
	Dead     string `json:"dead"`
	Target   string `json:"target"`
	Complete bool   `json:"complete"`
	Live     string `json:"live,omitempty"`
}

// EvidenceFound is what explains a failure, gathered before the undo.
type EvidenceFound struct {
	Op    string `json:"op"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// UndoStarted opens an undo; Why is the failure's first line.
type UndoStarted struct {
	Why   string `json:"why"`
	Count int    `json:"count"`
}

// Outcome is how one inverse, or one check asked for on undo, ended.
type Outcome string

// The outcomes. Restored and Already put a change back; Final could not be taken back; Passed and Broken are a check's.
const (
	Restored Outcome = "restored"
	Already  Outcome = "already"
	Conflict Outcome = "conflict"
	Failed   Outcome = "failed"
	Final    Outcome = "final"
	Passed   Outcome = "passed"
	Broken   Outcome = "broken"
)

// OpUndone closes the undoing of one op.
type OpUndone struct {
	Op      string  `json:"op"`
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	Summary string  `json:"summary,omitempty"`
	Detail  string  `json:"detail,omitempty"`
	Wanted  string  `json:"wanted,omitempty"` // of a conflict
	Found   string  `json:"found,omitempty"`  // of a conflict
	Order   int64   `json:"order,omitempty"`
}

// Committed is the point of no return: what came before it stays.
type Committed struct {
	Message string `json:"message,omitempty"`
	At      string `json:"at,omitempty"`
	Order   int64  `json:"order,omitempty"` // the last change that it covers
}

// Printed is a line that the script printed.
type Printed struct {
	Text string `json:"text"`
	At   string `json:"at,omitempty"`
}

// Noted is something that an operator should know and need not act on.
type Noted struct {
	Text string `json:"text"`
}

// RunFailed says why the run failed.
type RunFailed struct {
	Error     string `json:"error"`
	At        string `json:"at,omitempty"`
	Hint      string `json:"hint,omitempty"`
	Excerpt   string `json:"excerpt,omitempty"`
	Backtrace string `json:"backtrace,omitempty"`
	Fault     string `json:"fault,omitempty"` // the id of a fault of runner itself
}

// RunFinished closes a run with its verdict.
type RunFinished struct {
	Exit        int      `json:"exit"`
	Seconds     float64  `json:"seconds"`
	Changed     int      `json:"changed"`              // changes and finals begun
	Undone      int      `json:"undone"`               // of them, those put back
	Committed   bool     `json:"committed"`            //
	Interrupted bool     `json:"interrupted"`          //
	Live        string   `json:"live,omitempty"`       // what serves now, where known
	Wanted      string   `json:"wanted,omitempty"`     // what was to serve
	Healthy     *bool    `json:"healthy,omitempty"`    // the last check's word, where there was one
	Finals      []string `json:"finals,omitempty"`     // summaries of what could not be taken back
	Differs     []string `json:"differs,omitempty"`    // what is not as it was
	Message     string   `json:"message,omitempty"`    // the commit's
	HeldBy      string   `json:"held_by,omitempty"`    // the lease's holder, for exit 17
	Unfinished  bool     `json:"unfinished,omitempty"` // the next run goes on undoing
}

// Unrecognised is a fact of a newer runner, kept as it was read.
type Unrecognised struct {
	Name string          `json:"-"`
	Raw  json.RawMessage `json:"-"`
}
