package notify

import (
	"encoding/json"
	"fmt"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Webhook is a program that is told.
type Webhook struct {
	_       op.Doc                 `doc:"Posts JSON about a run to a URL: event, run, app, environment, script, user, host, version, error, and text, a sentence for people."`
	URL     secret.Text            `json:"url" doc:"Where to; a secret where whoever knows the URL can post."`
	On      []string               `json:"on" doc:"What to tell of: started (the run took the lease), finished, failed, undone, recovered."`
	Headers map[string]secret.Text `json:"headers,omitempty" doc:"Headers to send; secrets may be given here."`
}

// Notice marks a notice.
func (Webhook) Notice() {}

// Wants implements Notice.
func (w Webhook) Wants(what string) bool { return slices.Contains(w.On, what) }

// Check implements op.Checked.
func (w Webhook) Check() error {
	if !w.URL.IsSecret() {
		if err := checkURL(w.URL.String()); err != nil {
			return err
		}
	}
	for name := range w.Headers {
		if name == "" || strings.ContainsAny(name, " :\r\n") {
			return fmt.Errorf("headers: want names such as \"Authorization\", got %q", name)
		}
	}
	return checkOn(w.On)
}

// String names the notice in errors: of a URL that is no secret, the host alone.
func (w Webhook) String() string {
	if u, err := url.Parse(w.URL.String()); err == nil && !w.URL.IsSecret() {
		return "the webhook on " + u.Host
	}
	return "the webhook " + w.URL.String()
}

func (w Webhook) request(h *host.Host, m Message) (host.Request, error) {
	content, err := json.Marshal(struct {
		Message
		Text string `json:"text"`
	}{m, m.Text()})
	if err != nil {
		return host.Request{}, err
	}
	header := map[string]string{}
	for name, text := range w.Headers {
		value, err := h.Secrets.Reveal(text)
		if err != nil {
			return host.Request{}, err
		}
		header[textproto.CanonicalMIMEHeaderKey(name)] = value
	}
	return post(h, w.URL, header, content)
}

// Slack is a channel that is told.
type Slack struct {
	_       op.Doc      `doc:"Writes a sentence about a run to Slack, by an incoming webhook."`
	URL     secret.Text `json:"url" doc:"The webhook's URL, a secret: whoever knows it can post."`
	On      []string    `json:"on" doc:"What to tell of: started (the run took the lease), finished, failed, undone, recovered."`
	Channel string      `json:"channel,omitempty" doc:"Another channel than the webhook's, such as \"#deployments\", where Slack allows that."`
}

// Notice marks a notice.
func (Slack) Notice() {}

// Wants implements Notice.
func (s Slack) Wants(what string) bool { return slices.Contains(s.On, what) }

// Check implements op.Checked.
func (s Slack) Check() error {
	if !s.URL.IsSecret() {
		return op.Hint(fmt.Errorf("url: want a secret, got a string"), `whoever knows the URL can post: say secret.env("SLACK_URL")`)
	}
	return checkOn(s.On)
}

// String names the notice in errors.
func (s Slack) String() string { return "Slack at " + s.URL.String() }

func (s Slack) request(h *host.Host, m Message) (host.Request, error) {
	content, err := json.Marshal(struct {
		Text    string `json:"text"`
		Channel string `json:"channel,omitempty"`
	}{inSlack.Replace(m.Text()), s.Channel})
	if err != nil {
		return host.Request{}, err
	}
	return post(h, s.URL, map[string]string{}, content)
}

// inSlack keeps what a run says from being read as a mention or a link.
var inSlack = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
