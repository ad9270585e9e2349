package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/runtime/op"
)

// HTTP is kube.http.
type HTTP struct {
	_       op.Doc          `doc:"Asks the new pods of a workload for a page, one after the other, whatever a Service or an Ingress says. An answer with another status than wanted is an error; a pod that goes before it has answered is not: another is asked."`
	Cluster cluster.Cluster `json:"cluster" doc:"The target, such as environment.target."`
	To      string          `json:"to,omitempty" doc:"The workload and its port, such as \"deployment/web:8080\"; what the target serves when left out."`
	Path    string          `json:"path" doc:"What is asked for."`
	Status  int             `json:"status" doc:"The HTTP status that is wanted."`
	Count   int             `json:"count" doc:"How many answers are wanted; as many as there are pods ask each of them."`
	Timeout op.Duration     `json:"timeout" doc:"How long each answer may take."`
}

// Answered is what came of the requests.
type Answered struct {
	_        op.Doc      `doc:"What came of requests to pods."`
	Requests int         `json:"requests" doc:"How many were sent."`
	Failed   int         `json:"failed" doc:"How many of them got no answer, and were sent again, to another pod where there is one."`
	Statuses []int       `json:"statuses" doc:"The status of each answer."`
	Latency  op.Duration `json:"latency" doc:"How long the slowest answer took."`
}

// Summary implements op.Op.
func (h HTTP) Summary() string { return "ask the pods of " + h.forward().to() + " for " + h.Path }

func (h HTTP) forward() Forward { return Forward{Cluster: h.Cluster, To: h.To} }

// Check implements op.Checked.
func (h HTTP) Check() error {
	switch {
	case !strings.HasPrefix(h.Path, "/"):
		return fmt.Errorf("path: want a path such as /health, got %q", h.Path)
	case h.Status < 100 || h.Status > 599:
		return fmt.Errorf("status: want 100 to 599, got %d", h.Status)
	case h.Count < 1 || h.Count > 10000:
		return fmt.Errorf("count: want 1 to 10000, got %d", h.Count)
	case h.Timeout <= 0:
		return fmt.Errorf("timeout: want more than 0s")
	}
	return h.forward().Check()
}

// again is how often a request is sent at most: a pod may go with it, and so may the next.
const again = 4

// Do implements op.Op.
func (h HTTP) Do(ctx context.Context, d *Kubernetes) (Answered, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := Answered{Statuses: []int{}}
	base, err := h.forward().open(ctx, ctx, d)
	if err != nil {
		return out, err
	}
	op.Waiting(ctx, fmt.Sprintf("%d answers", h.Count), d.Host.Clock.Now().Add(time.Duration(h.Count)*h.Timeout.D()))
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // each connection leads to the next pod
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for n := range h.Count {
		if err := h.one(ctx, d, client, base, &out); err != nil {
			return out, fmt.Errorf("cannot %s: answer %d of %d: %w", h.Summary(), n+1, h.Count, err)
		}
	}
	return out, nil
}

// one asks until there is an answer.
func (h HTTP) one(ctx context.Context, d *Kubernetes, client *http.Client, base string, out *Answered) error {
	var err error
	for range again {
		begun := d.Host.Clock.Now()
		out.Requests++
		var status int
		var said string
		if status, said, err = h.ask(ctx, d, client, base+h.Path); err == nil {
			out.Statuses = append(out.Statuses, status)
			out.Latency = max(out.Latency, op.Duration(d.Host.Clock.Now().Sub(begun)))
			if status != h.Status {
				return fmt.Errorf("want status %d, got %d%s", h.Status, status, said)
			}
			return nil
		}
		out.Failed++
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return fmt.Errorf("no pod answers: %w", err)
}

// shownBody is how much of an answer an error shows.
const shownBody = 200

func (h HTTP) ask(ctx context.Context, d *Kubernetes, client *http.Client, url string) (int, string, error) {
	limited, cancel := d.Host.Clock.Timeout(ctx, h.Timeout.D(), fmt.Errorf("no answer within %s", h.Timeout))
	defer cancel()
	r, err := http.NewRequestWithContext(limited, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, shownBody))
	if err == nil && len(body) == shownBody {
		_, err = io.Copy(io.Discard, answer.Body)
	}
	line := string(slices.Concat([]byte(": "), bytes.TrimSpace(bytes.SplitN(body, []byte("\n"), 2)[0])))
	if line == ": " {
		line = ""
	}
	return answer.StatusCode, strings.ToValidUTF8(line, "?"), err
}
