package script

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// Report is an error as a person reads it.
type Report struct {
	Message   string   // "health.wait: within: want a duration such as "90s", got int"; no position, no hint
	At        string   // "deploy.star:12:16", "" where it is nowhere in a script
	Excerpt   string   // the source line and a line with a caret
	Hint      string   // what to do
	Backtrace string   // the calls that led there, outermost first, a line each
	More      []Report // further mistakes of the same file, in its order
}

// String is the whole report but the backtrace: position, message, excerpt, hint.
func (r Report) String() string {
	var b strings.Builder
	if r.At != "" {
		b.WriteString(r.At + ": ")
	}
	b.WriteString(r.Message + "\n")
	if r.Excerpt != "" {
		b.WriteString(r.Excerpt + "\n")
	}
	if r.Hint != "" {
		b.WriteString("hint: " + r.Hint + "\n")
	}
	for _, m := range r.More {
		b.WriteString(m.String())
	}
	return b.String()
}

// sourced is an error with the sources that it speaks of.
type sourced struct {
	error
	loader *loader
}

func (s *sourced) Unwrap() error { return s.error }

// sourced keeps the script's sources with the error, so that Diagnose can show them.
func (s *Script) sourced(err error) error {
	if err == nil {
		return nil
	}
	if e := innermost(err); e != nil {
		if d := deepest(e); d.Line > 0 {
			at(err, s.loader.start(d).String())
		}
	}
	return &sourced{err, s.loader}
}

// Diagnose explains an error of this script.
func (s *Script) Diagnose(err error) Report { return Diagnose(&sourced{err, s.loader}) }

// Diagnose explains an error of this package, or of a run; any other is its text and its hint.
func Diagnose(err error) Report {
	var src *sourced
	if !errors.As(err, &src) {
		return Report{Message: err.Error(), Hint: op.HintOf(err)}
	}
	l := src.loader
	var static mistakes
	var single *sourceError
	var stopped *Stopped
	switch {
	case errors.As(err, &stopped):
		r := Report{Message: askedFor(err, stopped.Error()) + stopped.Error(), Hint: op.HintOf(stopped.Cause)}
		if e := innermost(stopped.eval); e != nil {
			r.At, r.Backtrace = placeText(l.start(deepest(e))), l.backtrace(err)
			r.Excerpt = l.excerpt(l.start(deepest(e)))
		}
		return r
	case errors.As(err, &static):
		r := l.static(static[0])
		for _, m := range static[1:] {
			r.More = append(r.More, l.static(m))
		}
		return r
	case errors.As(err, &single):
		return l.static(single)
	}
	if e := innermost(err); e != nil {
		return l.evaluated(err, e)
	}
	return Report{Message: err.Error(), Hint: op.HintOf(err)}
}

func (l *loader) static(e *sourceError) Report {
	return Report{Message: e.Error(), At: e.at.String(), Excerpt: l.excerpt(e.at), Hint: op.HintOf(e)}
}

// innermost is the EvalError closest to the cause: where the outer ones are only how one got there.
func innermost(err error) *starlark.EvalError {
	var found *starlark.EvalError
	for err != nil {
		if e, ok := err.(*starlark.EvalError); ok {
			found = e
		}
		if s, ok := err.(*Stopped); ok {
			err = s.eval
			continue
		}
		err = errors.Unwrap(err)
	}
	return found
}

// deepest is the position of the innermost frame that is in a script.
func deepest(e *starlark.EvalError) syntax.Position {
	for i := range e.CallStack {
		if pos := e.CallStack.At(i).Pos; pos.Line > 0 {
			return pos
		}
	}
	return syntax.Position{}
}

func placeText(p place) string {
	if p.line == 0 {
		return ""
	}
	return p.String()
}

// evaluated explains an error that a running script met.
func (l *loader) evaluated(err error, e *starlark.EvalError) Report {
	pos := deepest(e)
	at := l.start(pos)
	message, hint := e.Msg, op.HintOf(e)
	if stack := e.CallStack; badCall.MatchString(message) && len(stack) > 1 {
		pos = stack.At(1).Pos // the call, not the def
		at = l.start(pos)
	}
	var arg *builtin.ArgError
	if errors.As(e, &arg) && arg.Param != "" {
		if a, ok := l.argument(pos, arg.Param, arg.Index); ok {
			at = a
		}
	}
	if hint == "" {
		message, hint = l.explainRun(message, pos)
	}
	r := Report{Message: askedFor(err, e.Msg) + calledIn(e) + message, At: placeText(at), Excerpt: l.excerpt(at), Hint: hint, Backtrace: l.backtrace(err)}
	if refused := (*op.Refused)(nil); errors.As(err, &refused) && strings.HasPrefix(at.file, "@std/") {
		r.Excerpt = "" // the words of the refusal, once more, in a file that nobody has written
	}
	return r
}

// calledIn is the name of the builtin that failed, for the message; "" where the message says it or nobody asked.
func calledIn(e *starlark.EvalError) string {
	if len(e.CallStack) == 0 {
		return ""
	}
	top := e.CallStack.At(0)
	if top.Pos.Line > 0 || hidden(top.Name) || top.Name == "fail" || top.Name == "refuse" || strings.HasPrefix(e.Msg, top.Name) {
		return ""
	}
	return top.Name + ": "
}

// askedFor is what an op says of a function that it was given and that went wrong with a message: what it was asked for.
func askedFor(err error, message string) string {
	if m := (*op.Misuse)(nil); errors.As(err, &m) && strings.HasSuffix(m.Error(), message) {
		return strings.TrimSuffix(m.Error(), message)
	}
	return ""
}

// backtrace is a line for each call that led to the error, outermost first, through loads and branches.
func (l *loader) backtrace(err error) string {
	var b strings.Builder
	for err != nil {
		if e, ok := err.(*starlark.EvalError); ok {
			for _, fr := range e.CallStack {
				if fr.Pos.Line > 0 {
					fmt.Fprintf(&b, "%s: in %s\n", l.start(fr.Pos), fr.Name)
				}
			}
		}
		switch e := err.(type) {
		case *branchError:
			fmt.Fprintf(&b, "in the branch %s of parallel\n", e.name)
			err = e.error
		case *Stopped:
			err = e.eval
		default:
			err = errors.Unwrap(err)
		}
	}
	return withoutRepeats(b.String())
}

// withoutRepeats drops the frames that an error caught on its way up shares with the one inside it.
func withoutRepeats(trace string) string {
	var out []string
	seen := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSuffix(trace, "\n"), "\n") {
		if !seen[line] {
			out = append(out, line)
		}
		seen[line] = true
	}
	return strings.Join(out, "\n")
}

// maxExcerpt is the longest source line that is shown whole, in bytes.
const maxExcerpt = 160

// excerpt is the source line of a place, and a line with a caret below it.
func (l *loader) excerpt(at place) string {
	m := l.modules[at.file]
	if m == nil {
		return ""
	}
	lines := strings.Split(m.Source, "\n")
	if at.line < 1 || at.line > len(lines) {
		return ""
	}
	line := strings.TrimRight(lines[at.line-1], "\r")
	if len(line) > maxExcerpt {
		return ""
	}
	before := []rune(line)
	before = before[:max(0, min(at.col-1, len(before)))]
	for i, r := range before {
		if r != '\t' {
			before[i] = ' '
		}
	}
	number := fmt.Sprintf("%5d", at.line)
	return fmt.Sprintf("%s | %s\n%s | %s^", number, line, strings.Repeat(" ", len(number)), string(before))
}

var badCall = regexp.MustCompile(`^function \w+ (missing|accepts|got|takes)`)
