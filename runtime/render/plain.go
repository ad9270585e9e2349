package render

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/erlmcp/runner/runtime/event"
)

// plain is a fold: what it remembers, it remembers from the records.
type plain struct {
	out   io.Writer
	style Style
	buf   bytes.Buffer // the lines of one record, written as one
	at    time.Time    // of the record
	day   string

	ops     map[string]*opState // that run now, by position
	order   []string            // their positions, in the order of their starts
	command string              // "run", "plan", "undo"
	recover string              // the dead run that is taken back now
	hint    string              // of the failure, shown last
}

// Emit implements event.Sink.
func (p *plain) Emit(r event.Record) error {
	p.at = r.Time.UTC()
	p.buf.Reset()
	p.fact(r)
	if p.buf.Len() == 0 {
		return nil
	}
	_, err := p.out.Write(p.buf.Bytes())
	return err
}

func (p *plain) fact(r event.Record) {
	switch f := r.Fact.(type) {
	case event.RunStarted:
		p.runStarted(r.Run, f)
	case event.OpStarted:
		p.opStarted(f)
	case event.OpOutput:
		p.opOutput(f)
	case event.OpProgress:
		p.opProgress(f)
	case event.OpWaiting:
		p.opWaiting(f)
	case event.OpFinished:
		p.opFinished(f)
	case event.OpPlanned:
		p.opPlanned(f)
	case event.PlanEnded:
		p.planEnded(f)
	case event.OpUndone:
		p.opUndone(f)
	case event.RecoveryStarted:
		p.recoveryStarted(f)
	case event.RecoveryFinished:
		p.recoveryFinished(f)
	case event.RunFailed:
		p.runFailed(f)
	case event.EvidenceFound:
		p.evidence(f)
	case event.RunFinished:
		p.runFinished(f)
	default:
		p.small(r.Fact)
	}
}

// small shows the facts that are a line each; in quiet output what the script prints, and nothing else.
func (p *plain) small(f event.Fact) {
	if _, prints := f.(event.Printed); p.style.Quiet && !prints {
		return
	}
	switch f := f.(type) {
	case event.StageStarted:
		p.line("== %s", clean(f.Name))
	case event.Printed:
		for l := range lines(f.Text) {
			p.line("print: %s%s", clean(l), p.where(f.At))
		}
	case event.Noted:
		for l := range lines(f.Text) {
			p.line("note: %s", clean(l))
		}
	case event.LeaseWaited:
		p.line("%s for the lease of %s, held by %s%s", p.yellow("waits"), clean(f.Target), clean(f.Holder), p.until(f.Until))
	case event.LeaseTaken:
		p.line("lease of %s is taken%s", clean(f.Target), p.where(f.At))
	case event.CheckAsked:
		p.detail("%s %s: asked for on undo: %s%s", clean(f.Op), clean(f.Name), clean(f.Summary), p.where(f.At))
	case event.ChildStarted:
		p.detail("  %s starts process %d, %s", clean(f.Op), f.PID, clean(f.Name))
	case event.Committed:
		p.line("committed%s; what came before stays%s", after(f.Message), p.where(f.At))
	case event.UndoStarted:
		p.line("undo: %s, newest first", count(f.Count, "op"))
	case event.Unrecognised:
		p.detail("note: %s is a fact of a newer runner", clean(f.Name))
	}
}

func (p *plain) runStarted(run string, f event.RunStarted) {
	p.command = f.Command
	p.day = p.at.Format(time.DateOnly)
	if p.style.Quiet {
		return
	}
	words := append([]string{f.Script}, f.Args...)
	if f.Environment != "" && (len(f.Args) == 0 || f.Args[0] != f.Environment) {
		words = append(words, "for", f.Environment)
	}
	line := fmt.Sprintf("%s %s: %s, %s UTC", clean(f.Command), clean(run), clean(strings.Join(words, " ")), p.day)
	if f.User != "" && f.Host != "" {
		line += fmt.Sprintf(", by %s on %s", clean(f.User), clean(f.Host))
	}
	if len(f.BuiltIn) > 0 {
		line += fmt.Sprintf(" (built in: %s)", clean(strings.Join(f.BuiltIn, ", ")))
	}
	p.line("%s", line)
	p.detail("runner %s, project %s, process %d", clean(f.Version), clean(f.Project), f.PID)
}

// line writes one line. A new day, which the times do not tell, is a line of its own.
func (p *plain) line(format string, args ...any) {
	if day := p.at.Format(time.DateOnly); p.day != day {
		p.day = day
		fmt.Fprintf(&p.buf, "%s day %s UTC\n", p.at.Format(time.TimeOnly), day)
	}
	p.buf.Write(p.at.AppendFormat(p.buf.AvailableBuffer(), time.TimeOnly))
	p.buf.WriteByte(' ')
	fmt.Fprintf(&p.buf, format, args...)
	p.buf.WriteByte('\n')
}

// detail writes a line of verbose output.
func (p *plain) detail(format string, args ...any) {
	if p.style.Verbose {
		p.line(format, args...)
	}
}

// where is a position in the script, in verbose output.
func (p *plain) where(at string) string {
	if !p.style.Verbose || at == "" {
		return ""
	}
	return " (" + clean(at) + ")"
}

// until is a deadline, and how long that is from the record.
func (p *plain) until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf(", until %s (%s)", t.UTC().Format(time.TimeOnly), seconds(t.Sub(p.at).Round(time.Second).Seconds()))
}
