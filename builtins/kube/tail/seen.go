package tail

import (
	"strings"
	"time"
)

// overlap is how much of what was seen is asked for again: servers count in seconds, and what two outputs of a container
// write at once may come in another order than that of its times.
const overlap = 2 * time.Second

// seen is what of a log was shown last, so that none of it is shown twice.
type seen struct {
	newest time.Time
	recent map[string]int // lines with their times, how often each was shown
	asked  map[string]int // of those, what a new stream has still to bring again
}

// since is from when on a stream has what was not seen; zero for all.
func (s *seen) since() time.Time {
	if s.newest.IsZero() {
		return s.newest
	}
	return s.newest.Add(-overlap).Truncate(time.Second)
}

// again says that a new stream begins.
func (s *seen) again() {
	s.asked = map[string]int{}
	for line, n := range s.recent {
		s.asked[line] = n
	}
}

// fresh notes a line, and reports that it was not seen before.
func (s *seen) fresh(line string) bool {
	if s.asked[line] > 0 {
		s.asked[line]--
		return false
	}
	at, _ := stamp(line)
	if s.recent == nil {
		s.recent = map[string]int{}
	}
	s.recent[line]++
	if at.Truncate(time.Second).After(s.newest.Truncate(time.Second)) {
		s.newest = at
		oldest := s.since()
		for line := range s.recent {
			if at, ok := stamp(line); ok && at.Before(oldest) {
				delete(s.recent, line)
			}
		}
	}
	return true
}

func stamp(line string) (time.Time, bool) {
	text, _, _ := strings.Cut(line, " ")
	at, err := time.Parse(time.RFC3339Nano, text)
	return at, err == nil
}
