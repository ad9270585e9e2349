//go:build labs

package reconcile

import (
	"testing"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/docker/dockertest"
)

// everything is a change of all that can change at once: a network, a service with an anonymous volume, one that starts
// first, how many there are, one that is new.
var everything = story{
	was: func(l *lab) shape.Set {
		return l.set(map[string]string{"db": "serve", "web": "serve"}, cached("db"), second2("db"), replicated("web", 2), startFirst)
	},
	now: func(l *lab) shape.Set {
		return l.set(map[string]string{"db": "serve", "new": "serve", "web": "serve 9s"}, cached("db"), second2("db"), startFirst, func(s *shape.Set) {
			s.Networks[0].Create.Labels[labelHash] = "b2"
			s.Networks[0].Create.Internal = true
		})
	},
}

func TestLabKilledGoingThere(t *testing.T) {
	t.Parallel()
	killedGoingThere(newLab(t), everything, dockertest.Cut)
}

func TestLabKilledComingBack(t *testing.T) {
	t.Parallel()
	killedComingBack(newLab(t), everything, dockertest.Cut)
}

func TestLabFirstIsKilled(t *testing.T) {
	t.Parallel()
	killedGoingThere(newLab(t), stories["the first"], dockertest.Dropped)
}
