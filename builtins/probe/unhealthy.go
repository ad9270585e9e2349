package probe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/erlmcp/runner/runtime/op"
)

// Unhealthy is a wait's error: what it was told, and how often.
type Unhealthy struct {
	Subject     string      // "http://127.0.0.1:8080/health"
	Within      op.Duration // how long it waited
	StableFor   op.Duration
	Consecutive int
	WasHealthy  bool // at times, and not for long enough
	Tries       int
	Answers     []Seen // each another, the one met last at the end
	Forgotten   int    // tries whose answers were too many to keep
}

// Seen is an answer and how often it came.
type Seen struct {
	Answer
	Count int
}

// tally counts the distinct answers of a wait, of which there may be as many as tries.
type tally struct {
	answers   []Seen
	forgotten int
}

const maxDistinct = 50

func (t *tally) add(a Answer) {
	s := Seen{Answer: a, Count: 1}
	if i := slices.IndexFunc(t.answers, func(s Seen) bool { return s.Text == a.Text }); i >= 0 {
		s.Count += t.answers[i].Count
		t.answers = slices.Delete(t.answers, i, i+1)
	}
	t.answers = append(t.answers, s)
	if len(t.answers) > maxDistinct {
		t.forgotten += t.answers[0].Count
		t.answers = slices.Delete(t.answers, 0, 1)
	}
}

// maxShown is how many distinct answers, with what they say, fit on a screen.
const maxShown = 5

// Error says it in one sentence, then gives the answers, one or more lines each.
func (u *Unhealthy) Error() string {
	var b strings.Builder
	last := u.Answers[len(u.Answers)-1]
	answers := "the only answer"
	if u.Tries > 1 {
		answers = fmt.Sprintf("%d of %d answers", last.Count, u.Tries)
	}
	fmt.Fprintf(&b, "%s %s: %s (%s)", u.Subject, u.missed(), last.Text, answers)
	shown := u.Answers[max(0, len(u.Answers)-maxShown):]
	switch others := u.Tries - count(shown); {
	case others == 1:
		fmt.Fprintf(&b, "\n%6d other, earlier", others)
	case others > 1:
		fmt.Fprintf(&b, "\n%6d others, earlier", others)
	}
	for _, s := range shown {
		fmt.Fprintf(&b, "\n%6d × %s", s.Count, s.Text)
		if f := s.Document.Failing(); len(f) > 3 {
			fmt.Fprintf(&b, "\n         failing: %s", several(f, 8))
		}
		if s.Body != "" && !s.Good {
			fmt.Fprintf(&b, "\n         body: %s", s.Body)
		}
	}
	return b.String()
}

func (u *Unhealthy) missed() string {
	switch {
	case u.WasHealthy && u.StableFor > 0:
		return fmt.Sprintf("does not stay healthy for %s within %s", u.StableFor, u.Within)
	case u.WasHealthy:
		return fmt.Sprintf("is not healthy %d times in a row within %s", u.Consecutive, u.Within)
	}
	return fmt.Sprintf("is not healthy after %s", u.Within)
}

func count(seen []Seen) int {
	n := 0
	for _, s := range seen {
		n += s.Count
	}
	return n
}
