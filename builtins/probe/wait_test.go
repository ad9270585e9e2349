package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/body"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
)

// service answers by the time since its start, in virtual time.
type service struct {
	clock  *hosttest.Clock
	start  time.Time
	takes  time.Duration // each answer
	answer func(at time.Duration) (int, string)
	asked  []time.Duration
	before func(tries int)
}

func newService(answer func(time.Duration) (int, string)) *service {
	start := time.Date(2026, 1, 26, 12, 0, 0, 0, time.UTC)
	return &service{clock: hosttest.NewClock(start), start: start, answer: answer}
}

func (s *service) host() *host.Host { return &host.Host{Net: s, Clock: s.clock} }

func (s *service) now() time.Duration { return s.clock.Now().Sub(s.start) }

// Do implements host.Net. A status of 0 is a refused connection, -1 no answer ever.
func (s *service) Do(ctx context.Context, _ host.Request) (host.Response, error) {
	at := s.now()
	s.asked = append(s.asked, at)
	if s.before != nil {
		s.before(len(s.asked))
	}
	code, body := s.answer(at)
	if code == 0 {
		return host.Response{}, fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
	}
	takes := s.takes
	if code < 0 {
		takes = time.Hour
	}
	until, _ := ctx.Deadline()
	s.clock.Advance(min(takes, until.Sub(s.clock.Now())))
	if ctx.Err() != nil {
		return host.Response{}, context.Cause(ctx)
	}
	return host.Response{Status: code, Body: []byte(body)}, nil
}

// Dial implements host.Net.
func (s *service) Dial(context.Context, string) error { return errors.New("not asked for") }

type heard struct {
	op.Silent
	lines    []string
	what     []string
	until    time.Time
	children int
}

func (h *heard) Output(l string) { h.lines = append(h.lines, l) }

func (h *heard) Waiting(what string, until time.Time) {
	h.what, h.until = append(h.what, what), until
}

func (h *heard) Child(op.Child) error {
	h.children++
	return nil
}

func until(at time.Duration, before, after string) func(time.Duration) (int, string) {
	return func(now time.Duration) (int, string) {
		body := after
		if now < at {
			body = before
		}
		switch {
		case body == "":
			return 0, ""
		case strings.Contains(body, "unhealthy"):
			return 503, body
		}
		return 200, body
	}
}

func consecutive(n int) func(*Probe) { return func(p *Probe) { p.Consecutive = n } }

func stable(d time.Duration) func(*Probe) { return func(p *Probe) { p.StableFor = op.Duration(d) } }

func TestRefusedThenHealthy(t *testing.T) {
	for _, ready := range []time.Duration{0, 10 * time.Millisecond, 300 * time.Millisecond, 3 * time.Second, 50 * time.Second} {
		s, h := newService(until(ready, "", goodDoc)), &heard{}
		r, err := Wait(op.WithSpeaker(t.Context(), h), s.host(), probe(), "")
		if err != nil || !r.Healthy || r.Version != "1.2.0" || r.Tries != len(s.asked) {
			t.Fatalf("ready at %s: %+v, %v", ready, r, err)
		}
		if late := s.now() - ready; late > max(knock, min(slowest, ready/100)) {
			t.Errorf("ready at %s, seen %s later", ready, late)
		}
		want := []string{"connection refused", "200 healthy, version 1.2.0"}
		if ready == 0 {
			want = want[1:]
		}
		if !slices.Equal(h.lines, want) {
			t.Errorf("output %q", h.lines)
		}
		if len(h.what) != 1 || h.what[0] != "http://127.0.0.1:8080/health to be healthy" || h.until.Sub(s.start) != time.Minute {
			t.Errorf("waits for %q until %s", h.what, h.until)
		}
		if len(s.asked) > 600 {
			t.Errorf("asked %d times", len(s.asked))
		}
	}
}

// How long nobody listened says nothing of how long who listens now takes to be healthy.
func TestListensThenHealthy(t *testing.T) {
	const ready = 30700 * time.Millisecond
	s := newService(func(at time.Duration) (int, string) {
		switch {
		case at < 30*time.Second:
			return 0, ""
		case at < ready:
			return 503, dbDown
		}
		return 200, goodDoc
	})
	if _, err := Wait(t.Context(), s.host(), probe(), ""); err != nil || s.now()-ready > time.Second/8 {
		t.Errorf("seen %s later, %v", s.now()-ready, err)
	}
}

func TestUnhealthySaysAll(t *testing.T) {
	s := newService(until(5*time.Second, "", dbDown))
	_, err := Wait(t.Context(), s.host(), probe(), "")
	var u *Unhealthy
	if !errors.As(err, &u) || s.now() > time.Minute || s.now() < time.Minute-2*quickest {
		t.Fatalf("%v after %s", err, s.now())
	}
	refused, down := u.Answers[0], u.Answers[1]
	if len(u.Answers) != 2 || refused.Count+down.Count != u.Tries || u.Tries != len(s.asked) || down.Code != 503 ||
		len(down.Document.Failing()) != 1 {
		t.Errorf("%+v", u)
	}
	want := fmt.Sprintf("http://127.0.0.1:8080/health is not healthy after 1m: 503 unhealthy: database: connection refused (%d of %d answers)\n"+
		"%6d × connection refused\n%6d × 503 unhealthy: database: connection refused\n         body: %s",
		down.Count, u.Tries, refused.Count, down.Count, body.Printable(dbDown, 200))
	if err.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", err, want)
	}
}

func TestStableFor(t *testing.T) {
	s := newService(until(2*time.Second, dbDown, goodDoc))
	s.takes = 7 * time.Millisecond
	_, err := Wait(t.Context(), s.host(), probe(stable(5*time.Second)), "")
	since := s.takes + s.asked[slices.IndexFunc(s.asked, func(d time.Duration) bool { return d >= 2*time.Second })]
	if err != nil || s.asked[len(s.asked)-1] != since+5*time.Second {
		t.Errorf("%v: good since %s, done at %s", err, since, s.now())
	}
}

func TestALateFailureStartsAnew(t *testing.T) {
	s := newService(func(at time.Duration) (int, string) {
		if 4*time.Second < at && at < 5*time.Second {
			return 503, dbDown
		}
		return 200, goodDoc
	})
	_, err := Wait(t.Context(), s.host(), probe(stable(5*time.Second)), "")
	if err != nil || s.now() < 10*time.Second || s.now() > 12*time.Second {
		t.Errorf("%v at %s", err, s.now())
	}
}

func TestFlapping(t *testing.T) {
	s := newService(func(at time.Duration) (int, string) {
		if at/time.Second%4 == 3 {
			return 503, dbDown
		}
		return 200, goodDoc
	})
	_, err := Wait(t.Context(), s.host(), probe(stable(5*time.Second)), "")
	if err == nil || s.now() > time.Minute || !strings.HasPrefix(err.Error(), "http://127.0.0.1:8080/health does not stay healthy for 5s within 1m: ") {
		t.Errorf("%v at %s", err, s.now())
	}
	if len(s.asked) > 400 {
		t.Errorf("asked %d times", len(s.asked))
	}
}

// The stretch of good answers may end just before the deadline.
func TestStableUntilTheDeadline(t *testing.T) {
	for left := time.Millisecond; left < 2*quickest; left += time.Millisecond {
		s := newService(until(0, "", goodDoc))
		if _, err := Wait(t.Context(), s.host(), probe(stable(time.Minute-left)), ""); err != nil {
			t.Errorf("%s before the deadline: %v", left, err)
		}
	}
}

func TestConsecutive(t *testing.T) {
	n := 0
	s := newService(func(time.Duration) (int, string) {
		if n++; n == 3 {
			return 503, dbDown
		}
		return 200, goodDoc
	})
	r, err := Wait(t.Context(), s.host(), probe(consecutive(3)), "")
	if err != nil || r.Tries != 6 {
		t.Errorf("%+v, %v", r, err)
	}
	never := newService(func(time.Duration) (int, string) {
		if n++; n%2 == 0 {
			return 503, dbDown
		}
		return 200, goodDoc
	})
	_, err = Wait(t.Context(), never.host(), probe(consecutive(3)), "")
	if err == nil || !strings.Contains(err.Error(), "is not healthy 3 times in a row within 1m") {
		t.Error(err)
	}
}

func TestHangingServer(t *testing.T) {
	s := newService(func(time.Duration) (int, string) { return -1, "" })
	_, err := Wait(t.Context(), s.host(), probe(within(12*time.Second)), "")
	if err == nil || s.now() != 12*time.Second || len(s.asked) != 3 {
		t.Fatalf("%v at %s after %d", err, s.now(), len(s.asked))
	}
	if want := "http://127.0.0.1:8080/health is not healthy after 12s: no answer within 5s (2 of 2 answers)"; !strings.HasPrefix(err.Error(), want) {
		t.Error(err)
	}
	short := newService(func(time.Duration) (int, string) { return -1, "" })
	_, err = Wait(t.Context(), short.host(), probe(within(2*time.Second)), "")
	if err == nil || short.now() != 2*time.Second || !strings.Contains(err.Error(), "no answer within 2s (the only answer)") {
		t.Errorf("%v at %s", err, short.now())
	}
}

// Whatever the service does and however long its answers take, the wait ends by its deadline.
func TestNeverPastTheDeadline(t *testing.T) {
	for _, longest := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 70 * time.Millisecond, 999 * time.Millisecond, time.Minute} {
		for _, takes := range []time.Duration{0, time.Millisecond, 300 * time.Millisecond, 7 * time.Second} {
			s := newService(until(time.Hour, dbDown, ""))
			s.takes = takes
			if _, err := Wait(t.Context(), s.host(), probe(within(longest)), ""); err == nil || s.now() > longest || s.now() < longest-quickest-takes-time.Millisecond {
				t.Errorf("within %s, answers take %s: ended at %s, %v", longest, takes, s.now(), err)
			}
		}
	}
}

func TestWrongVersion(t *testing.T) {
	old := strings.Replace(goodDoc, "1.2.0", "1.1.0", 1)
	s := newService(until(10*time.Second, old, goodDoc))
	if r, err := Wait(t.Context(), s.host(), probe(), "1.2.0"); err != nil || r.LiveVersion() != "1.2.0" || s.now() < 10*time.Second {
		t.Errorf("%+v, %v", r, err)
	}
	s = newService(until(0, "", old))
	_, err := Wait(t.Context(), s.host(), probe(), "1.2.0")
	if err == nil || !strings.Contains(err.Error(), "is not healthy after 1m: 200 healthy, version 1.1.0, want 1.2.0 (") {
		t.Error(err)
	}
}

func TestDegradedUnderBothPolicies(t *testing.T) {
	s := newService(until(0, "", dbSlow))
	if _, err := Wait(t.Context(), s.host(), probe(), ""); err == nil {
		t.Error("degraded is taken for healthy")
	}
	r, err := Wait(t.Context(), s.host(), probe(accept("healthy", "degraded")), "")
	if err != nil || r.Status != "degraded" || len(r.Failing) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestManyDistinctAnswersFitAScreen(t *testing.T) {
	n := 0
	s := newService(func(time.Duration) (int, string) {
		n++
		return 503, fmt.Sprintf(`{"status":"unhealthy","checks":{"a":"x%d","b":"x","c":"x","d":"x","e":"%s"}}`, n, strings.Repeat("y", 9000))
	})
	_, err := Wait(t.Context(), s.host(), probe(within(10*time.Minute)), "")
	var u *Unhealthy
	if !errors.As(err, &u) || len(u.Answers) != maxDistinct || u.Forgotten != u.Tries-maxDistinct {
		t.Fatalf("%d answers, %d of %d forgotten", len(u.Answers), u.Forgotten, u.Tries)
	}
	text := err.Error()
	if !strings.Contains(text, "\n         failing: a: x") || !strings.Contains(text, "; e: yyy") {
		t.Errorf("the failing subsystems are not all named:\n%s", text)
	}
	if lines := strings.Count(text, "\n") + 1; lines > 24 || len(text) > 6000 || !strings.Contains(text, fmt.Sprintf("%6d others, earlier", u.Tries-maxShown)) {
		t.Errorf("%d lines, %d bytes:\n%s", lines, len(text), text)
	}
}

func TestCancelled(t *testing.T) {
	why := errors.New("asked to stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	s := newService(until(time.Hour, dbDown, ""))
	s.before = func(tries int) {
		if tries == 3 {
			cancel(why)
		}
	}
	if _, err := Wait(ctx, s.host(), probe(), ""); err != why || len(s.asked) != 3 {
		t.Errorf("%v after %d tries", err, len(s.asked))
	}
	if r, err := Ask(ctx, s.host(), probe(), ""); err != why {
		t.Errorf("a check: %+v, %v", r, err)
	}
}

// stubborn is a command that uses up all the time that it is given.
type stubborn struct {
	host.Procs
	clock *hosttest.Clock
}

// Run implements host.Procs.
func (s stubborn) Run(ctx context.Context, c host.Cmd, _ func(host.Proc) error) (host.Exit, error) {
	end, _ := ctx.Deadline()
	s.clock.Advance(end.Sub(s.clock.Now()) + c.Grace)
	return host.Exit{}, context.Cause(ctx)
}

func TestEndingACommandIsInTime(t *testing.T) {
	s := newService(nil)
	h := &host.Host{Clock: s.clock, Procs: stubborn{clock: s.clock}}
	p := command("true")
	p.Within = op.Duration(7 * time.Second)
	if _, err := Wait(t.Context(), h, p, ""); err == nil || s.now() != 7*time.Second {
		t.Errorf("%v at %s", err, s.now())
	}
}

// Counts are said as a person says them.
func TestHowManyAnswers(t *testing.T) {
	for distinct, want := range map[int]string{1: "(the only answer)", 2: "(1 of 2 answers)", maxShown + 1: "     1 other, earlier", maxShown + 2: "     2 others, earlier"} {
		u := &Unhealthy{Subject: "it", Tries: distinct}
		for i := range distinct {
			u.Answers = append(u.Answers, Seen{Answer: Answer{Text: string(rune('a' + i))}, Count: 1})
		}
		if got := u.Error(); !strings.Contains(got, want) {
			t.Errorf("%d answers: %s", distinct, got)
		}
	}
}
