package probe

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Wait asks a probe until its answers are good: at once, then at intervals that grow with the time that has passed, slowly
// while nobody listens. It shows each answer that is not what the one before was. Its error is an *Unhealthy where the answers are to blame.
func Wait(ctx context.Context, h *host.Host, p Probe, version string) (Result, error) {
	if err := cmp.Or(p.Check(), p.Placed()); err != nil {
		return Result{}, err
	}
	out := op.Output(ctx)
	defer out.Close()
	v := newVigil(p, h.Clock.Now())
	op.Waiting(ctx, p.Subject()+" to be healthy", v.deadline)
	for {
		limit := min(p.PerTry.D(), v.deadline.Sub(h.Clock.Now()))
		if limit <= 0 {
			return Result{}, v.unhealthy()
		}
		a, err := try(ctx, h, p, version, limit)
		if err != nil {
			return Result{}, err
		}
		now := h.Clock.Now()
		if cutShort := a.late && limit < p.PerTry.D() && v.tries > 0; !cutShort {
			v.hear(a, now, out)
		}
		if v.settled(now) {
			return a.result(v.tries, now.Sub(v.start)), nil
		}
		pause, ok := v.pause(now)
		if !ok {
			return Result{}, v.unhealthy()
		}
		if err := h.Clock.Sleep(ctx, pause); err != nil {
			return Result{}, err
		}
	}
}

// The shortest and the longest time between two tries. Between them it is an eighth of the time that has passed since
// somebody listens, so that a wait is seldom an eighth longer than it had to be, or a twentieth of the time that answers
// must stay good. Nobody can be asked to tell when a program begins to listen, and to be refused costs no service
// anything: until then it is a hundredth.
const (
	knock    = 5 * time.Millisecond
	quickest = 25 * time.Millisecond
	slowest  = time.Second
)

// vigil is the state of a wait: all that it has heard.
type vigil struct {
	probe    Probe
	start    time.Time
	refused  time.Time // when nobody listened last, else the start
	deadline time.Time
	tries    int
	alone    bool      // nobody listened to the last try
	streak   int       // good answers in a row
	since    time.Time // when the streak began
	everGood bool
	last     string
	seen     tally
}

func newVigil(p Probe, now time.Time) *vigil {
	return &vigil{probe: p, start: now, refused: now, deadline: now.Add(p.Within.D())}
}

// hear takes an answer in, and shows it where it is not what the one before was.
func (v *vigil) hear(a Answer, now time.Time, out io.Writer) {
	v.tries++
	v.seen.add(a)
	if v.alone = a.refused; a.refused {
		v.refused = now
	}
	if a.Text != v.last {
		v.last = a.Text
		fmt.Fprintln(out, a.Text)
	}
	if !a.Good {
		v.streak = 0
		return
	}
	if v.streak == 0 {
		v.since = now
	}
	v.streak++
	v.everGood = true
}

// settled reports whether enough good answers came over a time that is long enough.
func (v *vigil) settled(now time.Time) bool {
	return v.streak > 0 && v.streak >= v.probe.Consecutive && now.Sub(v.since) >= v.probe.StableFor.D()
}

// pause is the time to the next try, which leaves time for it; false where there is none.
func (v *vigil) pause(now time.Time) (time.Duration, bool) {
	left := v.deadline.Sub(now)
	step, least := now.Sub(v.refused)/8, quickest
	switch {
	case v.alone:
		step, least = now.Sub(v.start)/100, knock
	case v.streak > 0:
		step = v.probe.StableFor.D() / 20
	}
	step = min(max(step, least), slowest)
	if rest := v.since.Add(v.probe.StableFor.D()).Sub(now); v.streak > 0 && 0 < rest && rest < left {
		return min(step, rest), true
	}
	if left <= quickest {
		return 0, false
	}
	return min(step, max(left/2, quickest)), true
}

func (v *vigil) unhealthy() error {
	last := v.seen.answers[len(v.seen.answers)-1]
	err := &Unhealthy{
		Subject: v.probe.Subject(), Within: v.probe.Within, StableFor: v.probe.StableFor, Consecutive: v.probe.Consecutive,
		WasHealthy: v.everGood, Tries: v.tries, Answers: v.seen.answers, Forgotten: v.seen.forgotten,
	}
	if last.Hint != "" {
		return op.Hint(err, "%s", last.Hint)
	}
	return err
}
