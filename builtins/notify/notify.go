// Package notify tells people and programs elsewhere what becomes of a run: a Slack channel, a webhook. A notice is a
// value of an environment; the package turns one, and what happened, into a request and delivers it. When that is, and
// that it never changes what becomes of the run, is up to whoever calls it.
package notify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/body"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// What can happen to a run.
const (
	Started   = "started"   // it took the lease, and may change something now
	Finished  = "finished"  // everything that was asked for holds
	Failed    = "failed"    // whatever becomes of it now
	Undone    = "undone"    // the undo behind a failure is over, complete or not
	Recovered = "recovered" // a dead run was taken back, completely or not
)

// all lists them; usual are those that a notice tells of where it does not say.
func all() []string   { return []string{Started, Finished, Failed, Undone, Recovered} }
func usual() []string { return []string{Started, Failed, Undone, Recovered} }

// Family is the values notify.slack and notify.webhook.
func Family() builtin.Family {
	return builtin.NewFamily("notify",
		"Tells people elsewhere what becomes of a run that changes an environment: notify = [notify.slack(secret.env(\"SLACK_URL\"))]. A notice that cannot be delivered is noted and changes nothing; a plan sends none.",
		builtin.Value(Slack{On: usual()}),
		builtin.Value(Webhook{On: usual()}),
	)
}

// Notice is somebody to tell.
type Notice interface {
	// Notice marks what an environment may hold as a notice.
	Notice()
	// Wants reports whether the notice tells of such a thing.
	Wants(what string) bool
	op.Checked
	request(h *host.Host, m Message) (host.Request, error)
	fmt.Stringer
}

var (
	_ Notice = Slack{}
	_ Notice = Webhook{}
)

// Message is what happened. Webhooks get it as JSON: a field may be added, never renamed.
type Message struct {
	Event       string `json:"event"` // one of the constants
	Run         string `json:"run"`
	App         string `json:"app"`
	Environment string `json:"environment"`
	Script      string `json:"script,omitempty"`
	User        string `json:"user,omitempty"`
	Host        string `json:"host,omitempty"`
	Version     string `json:"version,omitempty"` // what serves, where that is known
	Error       string `json:"error,omitempty"`   // why it failed, or what is not as it was
	Dead        string `json:"dead,omitempty"`    // the run that was recovered
}

// Text is the message for people.
func (m Message) Text() string {
	var s string
	switch m.Event {
	case Started:
		s = fmt.Sprintf("%s started by %s on %s", m.Script, m.User, m.Host)
	case Finished:
		s = m.Script + " finished"
	case Failed:
		s = m.Script + " failed: " + m.Error
	case Undone:
		s = m.Script + " is undone: " + either(m.Error, "every change is taken back")
	case Recovered:
		s = fmt.Sprintf("the dead run %s is undone: %s", m.Dead, either(m.Error, "every change is taken back"))
	}
	if m.Version != "" {
		s += fmt.Sprintf(" (%s serves)", m.Version)
	}
	return fmt.Sprintf("%s %s: %s [run %s]", m.App, m.Environment, s, m.Run)
}

func either(wrong, fine string) string {
	if wrong != "" {
		return "NOT everything is as it was: " + wrong
	}
	return fine
}

// maxError is how much of an error is told, in characters: the whole is in the run's log.
const maxError = 600

// Deliver tells n what happened. Its error is a line without a secret.
func Deliver(ctx context.Context, h *host.Host, n Notice, m Message) error {
	m.Error = body.Printable(strings.Join(strings.Fields(m.Error), " "), maxError)
	// Facts are scrubbed when they are made; what has become known as a secret since is scrubbed here.
	m = op.MapStrings(m, h.Secrets.Scrubber.String).(Message)
	r, err := n.request(h, m)
	if err != nil {
		return fmt.Errorf("cannot tell %s of %q: %w", n, m.Event, err)
	}
	resp, err := h.Net.Do(ctx, r)
	switch {
	case err != nil:
		return fmt.Errorf("cannot tell %s of %q: %s", n, m.Event, h.Secrets.Scrubber.String(body.NoAnswer(err)))
	case resp.Status/100 != 2:
		return fmt.Errorf("cannot tell %s of %q: it answers %d", n, m.Event, resp.Status)
	}
	return nil
}

// post is a request with a JSON body. Where it goes is not told by its error.
func post(h *host.Host, to secret.Text, header map[string]string, content []byte) (host.Request, error) {
	target, err := h.Secrets.Reveal(to)
	if err != nil {
		return host.Request{}, err
	}
	if err := checkURL(target); err != nil {
		return host.Request{}, fmt.Errorf("what %s holds is no URL that begins with https:// or http://", to.Name())
	}
	header["Content-Type"] = "application/json"
	return host.Request{Method: "POST", URL: target, Header: header, Body: content, MaxBody: 1}, nil
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return errors.New(`url: want a URL such as "https://hooks.example.com/deployments"`)
	case u.User != nil:
		return errors.New("url: want no user and password in it: they would be printed; put them into headers")
	}
	return nil
}

func checkOn(on []string) error {
	if len(on) == 0 {
		return errors.New("on: want one or more, got none")
	}
	for _, what := range on {
		if !slices.Contains(all(), what) {
			return fmt.Errorf("on: want %q, got %q%s", all(), what, builtin.DidYouMean(what, all()))
		}
	}
	return nil
}
