package probe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/erlmcp/runner/builtins/body"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// healthy is the status of a health document in which nothing is wrong.
const healthy = "healthy"

// Answer is what one try met, and whether that is good.
type Answer struct {
	Good     bool
	Text     string // one line; two answers are the same when their texts are
	Code     int    // the HTTP status, 0 where there was none
	Body     string // its start, printable
	Hint     string // what the probe's author may have meant
	Document Document
	late     bool
	refused  bool // nobody listens there
}

// Judge decides whether a response, or the error in its place, is a good answer to the probe, and from the version that
// is expected ("" expects none). An answer that names no version may come from any.
func Judge(r host.Response, err error, p Probe, version string) Answer {
	if err != nil {
		return Answer{Text: body.NoAnswer(err), late: errors.As(err, new(late)), refused: errors.Is(err, syscall.ECONNREFUSED)}
	}
	v, bad := readable(r)
	d := document(v)
	a := Answer{Good: true, Code: r.Status, Document: d, Body: body.Printable(string(r.Body[:min(len(r.Body), 1000)]), 200)}
	var notes []string
	switch fault := p.fault(r.Status, d, v, bad); {
	case p.Status == 0 && r.Status/100 != 2:
		a.Good = false
	case fault != nil:
		a.Good, a.Hint = false, op.HintOf(fault)
		notes = []string{fault.Error()}
	case version != "" && d.Version != "" && !body.SameVersion(d.Version, version):
		a.Good = false
		a.Hint = "another process answers there, or the build does not tell the program its version, as -X main.version={version} does in ldflags; --artifact-version says the version of what was built elsewhere"
		notes = []string{"version " + d.Version, "want " + version}
	case d.Version != "":
		notes = []string{"version " + d.Version}
	}
	a.Text = sentence(r, d, notes)
	return a
}

// readable is the body as JSON, or what is the matter with it.
func readable(r host.Response) (any, error) {
	if r.Truncated {
		return nil, fmt.Errorf("over %s long", op.Size(len(r.Body)))
	}
	return body.Decode(r.Body)
}

// fault is what the probe holds against an answer, nil where nothing. It has no words for a status outside 2xx that
// the probe does not name: that speaks for itself.
func (p Probe) fault(code int, d Document, v any, unreadable error) error {
	_, own := p.JSON["status"] // a probe that says itself what the status must be has decided
	switch {
	case p.Status != 0 && code != p.Status:
		return fmt.Errorf("want %d", p.Status)
	case len(p.Accept) > 0 && d.Status != "" && !own && !slices.Contains(p.Accept, d.Status):
		return fmt.Errorf("want %s", strings.Join(p.Accept, " or "))
	case unreadable != nil && len(p.JSON) > 0:
		return fmt.Errorf("the body is %w", unreadable)
	case len(p.JSON) > 0:
		return p.mismatch(v)
	case p.Status != 0 || len(p.Accept) == 0 || d.Status != "":
		return nil
	}
	if unreadable == nil {
		unreadable = errors.New("no health document: it has no status")
	}
	return op.Hint(fmt.Errorf("the body is %w", unreadable), "say status = %d in the probe where the HTTP status alone is enough", code)
}

// mismatch is the first value that is not as the probe wants it.
func (p Probe) mismatch(v any) error {
	path, got := body.Mismatch(v, p.JSON)
	if path == "" {
		return nil
	}
	return fmt.Errorf("%s is %s, want %s", path, got, body.Short(p.JSON[path]))
}

// sentence is such as "200 degraded, want healthy: database: slow".
func sentence(r host.Response, d Document, notes []string) string {
	s := fmt.Sprint(r.Status)
	switch to := r.Header["location"]; {
	case r.Status/100 == 3 && to != "":
		s += " to " + body.Printable(to, 80)
	case d.Status != "":
		s += " " + d.Status
	}
	s = strings.Join(append([]string{s}, notes...), ", ")
	if f := d.Failing(); len(f) > 0 {
		s += ": " + several(f, 3)
	}
	return s
}

func several(f []Subsystem, most int) string {
	var parts []string
	for _, s := range f[:min(len(f), most)] {
		parts = append(parts, s.String())
	}
	if len(f) > most {
		parts = append(parts, fmt.Sprintf("and %d more", len(f)-most))
	}
	return strings.Join(parts, "; ")
}

// late says that there was no answer in that time.
type late time.Duration

func (l late) Error() string {
	return "no answer within " + op.Duration(time.Duration(l).Round(time.Millisecond)).String()
}
