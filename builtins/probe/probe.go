// Package probe asks about a service's health: by its health document, values in a JSON body, an HTTP status, a TCP port or
// a command; once, or until the answer is good and stays so. What it was told when it is not good is in its error.
//
// It changes nothing, and takes no silence, redirect or unreadable answer for health.
package probe

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/body"
	"github.com/erlmcp/runner/runtime/op"
)

// Probe is a question about health, and what counts as a good answer to it.
type Probe struct {
	_           op.Doc         `doc:"What to ask about a service's health, and which answer is good."`
	Path        string         `json:"path" doc:"A path of the target such as \"/health\", a URL, or \"tcp://host:port\", which only has to accept connections; \"\" where there is a command."`
	Command     []string       `json:"command,omitempty" doc:"A program and its arguments to run in the project's folder instead; exit 0 is healthy."`
	Accept      []string       `json:"accept,omitempty" doc:"The good values of the health document's status; none leaves the document unread."`
	Status      int            `json:"status,omitempty" doc:"The good HTTP status, which then needs no health document with it; any 2xx where left out."`
	JSON        map[string]any `json:"json,omitempty" doc:"Values that the JSON body must hold, by path: {\"checks.database.status\": \"healthy\"}."`
	Within      op.Duration    `json:"within" doc:"How long a wait may take in all, measured from its start."`
	StableFor   op.Duration    `json:"stable_for,omitempty" doc:"How long every answer must then stay good; one that is not starts it anew."`
	Consecutive int            `json:"consecutive" doc:"How many good answers in a row it takes."`
	PerTry      op.Duration    `json:"per_try" doc:"How long one answer may take."`
	Base        string         `json:"base,omitempty" doc:"Where a path is asked, such as \"http://127.0.0.1:8080\"; the environment fills in its target's port."`
}

// Default is a probe before a script says anything: it names nothing to ask.
func Default() Probe {
	return Probe{
		Accept:      []string{healthy},
		Within:      op.Duration(time.Minute),
		Consecutive: 1,
		PerTry:      op.Duration(5 * time.Second),
	}
}

// WithBase is the probe, asked at base where it does not say itself where. The result is a Probe: a family that knows
// the port, and not this package, can call it.
func (p Probe) WithBase(base string) any {
	if p.Base == "" && strings.HasPrefix(p.Path, "/") {
		p.Base = base
	}
	return p
}

// Check implements op.Checked.
func (p Probe) Check() error {
	switch {
	case p.Path == "" && len(p.Command) == 0:
		return errors.New(`path: want what to ask, such as "/health", or a command`)
	case p.Path != "" && len(p.Command) > 0:
		return errors.New("command: want a path or a command, got both")
	case len(p.Command) > 0 && p.Command[0] == "":
		return errors.New("command: want a program first, got an empty string")
	case len(p.Command) > 0 && (p.Status != 0 || len(p.JSON) > 0):
		return errors.New("command: status and json are for HTTP answers; a command is judged by its exit")
	case p.Status != 0 && (p.Status < 200 || p.Status > 599):
		return fmt.Errorf("status: want an HTTP status such as 200, got %d", p.Status)
	case slices.Contains(p.Accept, ""):
		return errors.New("accept: want words such as \"degraded\", got an empty string")
	case p.Consecutive < 1:
		return fmt.Errorf("consecutive: want 1 or more, got %d", p.Consecutive)
	case p.Within <= 0:
		return errors.New("within: want more than 0s")
	case p.PerTry <= 0:
		return errors.New("per_try: want more than 0s")
	case p.StableFor >= p.Within:
		return fmt.Errorf("stable_for: want less than within (%s), got %s", p.Within, p.StableFor)
	}
	if err := body.CheckPaths("json", p.JSON); err != nil {
		return err
	}
	if err := CheckBase(p.Base); err != nil {
		return err
	}
	return checkPath(p.Path)
}

// CheckBase refuses what is no origin.
func CheckBase(base string) error {
	if base == "" {
		return nil
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf(`base: want an origin such as "http://127.0.0.1:8080", got %q`, base)
	}
	return nil
}

func checkPath(path string) error {
	if path == "" {
		return nil
	}
	u, err := url.Parse(path)
	if err != nil {
		return fmt.Errorf("path: cannot read %q as a path or URL: %w", path, errors.Unwrap(err))
	}
	switch {
	case strings.HasPrefix(path, "/") && u.Host == "":
		return nil
	case (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil:
		return nil
	case u.Scheme == "tcp" && u.Port() != "" && u.Path == "":
		return nil
	case u.User != nil:
		return errors.New("path: want no user and password in it: they would be printed")
	}
	return fmt.Errorf(`path: want "/health", "http://host:port/health" or "tcp://host:port", got %q`, path)
}

// Placed reports whether the probe says where to ask.
func (p Probe) Placed() error {
	if strings.HasPrefix(p.Path, "/") && p.Base == "" {
		return op.Hint(fmt.Errorf("probe: cannot ask %s: nothing says on which host and port", p.Path),
			`give the target's service a port, or the probe a base such as "http://127.0.0.1:8080"`)
	}
	return nil
}

// tcp is the address to connect to, "" where the probe is not of that form.
func (p Probe) tcp() string {
	addr, ok := strings.CutPrefix(p.Path, "tcp://")
	if !ok {
		return ""
	}
	if host, port, err := net.SplitHostPort(addr); err == nil && host == "" {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

func (p Probe) url() string {
	if strings.HasPrefix(p.Path, "/") {
		return strings.TrimRight(p.Base, "/") + p.Path
	}
	return p.Path
}

// Subject is what the probe asks, for people.
func (p Probe) Subject() string {
	switch {
	case len(p.Command) > 0:
		return body.Printable(strings.Join(p.Command, " "), 80)
	case p.tcp() != "":
		return "tcp://" + p.tcp()
	}
	return p.url()
}

var _ op.Checked = Probe{}
