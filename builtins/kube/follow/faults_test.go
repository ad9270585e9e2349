package follow

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestServerThatIsAwayIsNoVerdict(t *testing.T) {
	f := newFake(t)
	f.put(webStarts + "\n---\n" + set + "\n---\n" + podCrashes)
	w := f.follow(Options{}, theWeb)
	w.hears("failing in 12s")
	w.clock.Advance(5 * time.Second)
	f.turn(true)
	w.hears("the API server does not answer")
	for range 50 {
		w.clock.Advance(2 * time.Second)
	}
	w.goesOn()
	f.turn(false)
	rest := w.pass()
	w.hears("the API server answers again")
	rest()
	w.goesOn()
	w.clock.Advance(7 * time.Second)
	w.ends(crashes)
}

func TestServerThatStaysAway(t *testing.T) {
	f := newFake(t)
	f.turn(true)
	w := f.follow(Options{}, theWeb)
	w.hears("the API server does not answer")
	w.cancel(errors.New("its 5m are over"))
	select {
	case err := <-w.ended:
		var none *NoAnswer
		if !errors.As(err, &none) || !strings.Contains(err.Error(), "the API server does not answer, so it is not known what is ready") || !strings.HasSuffix(err.Error(), "its 5m are over") {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
}

func TestTimeThatIsOver(t *testing.T) {
	f := newFake(t)
	f.put(webStarts + "\n---\n" + set + "\n---\n" + podStarts)
	w := f.follow(Options{}, theWeb)
	w.hears("being created")
	w.cancel(errors.New("its 5m are over"))
	w.ends("deployment/web: 0 of 1 new replicas are available; pod web-2-a: container app is being created: its 5m are over")
}

func TestWatchThatHasExpired(t *testing.T) {
	for _, by := range []int{200, 410} {
		f := newFake(t)
		f.put(webStarts + "\n---\n" + set + "\n---\n" + podStarts)
		w := f.follow(Options{}, theWeb)
		w.hears("being created")
		f.mu.Lock()
		f.mute = true
		f.mu.Unlock()
		f.remove(podsAt, "web-2-a") // nobody hears of that
		f.mu.Lock()
		f.mute = false
		f.mu.Unlock()
		f.forget(by)
		w.hears("deployment/web: 0 of 1 new replicas are available")
		f.put(webReady)
		w.ends("")
	}
}

func TestConnectionThatBreaks(t *testing.T) {
	f := newFake(t)
	f.put(webStarts + "\n---\n" + set + "\n---\n" + podStarts)
	w := f.follow(Options{}, theWeb)
	w.hears("being created")
	defer w.pass()()
	for _, how := range []string{"drop", "cut", "garbage"} {
		f.each(how)
		f.put(podNoNode)
		w.hears("fits no node: 1 Insufficient cpu")
		f.put(podStarts)
		w.hears("being created")
	}
	f.each("cut")
	f.put(webReady)
	w.ends("")
}

func TestServerThatFails(t *testing.T) {
	f := newFake(t)
	f.put(webReady)
	f.answer(deployments, status(500, "InternalError"), garbage, status(503, "ServiceUnavailable"), status(429, "TooManyRequests"))
	conn, _ := f.conn() // whose sleeps are over at once
	if _, err := Follow(t.Context(), conn, []Item{theWeb}, Options{}, func(Change) {}); err != nil {
		t.Error(err)
	}
}

func TestBookmarkIsWhereAWatchGoesOn(t *testing.T) {
	f := newFake(t)
	f.put(webStarts)
	w := f.follow(Options{}, theWeb)
	w.hears("0 of 1")
	f.bookmark(deployments, "Deployment") // version 102
	f.put(strings.Replace(webStarts, "replicas: 1, updated", "replicas: 3, updated", 1))
	w.hears("2 old replicas")
	f.bookmark(deployments, "Deployment") // version 104
	f.drop()
	f.put(webReady)
	w.ends("")
	if !strings.Contains(f.requests(), "watch "+deployments+" 104") && !strings.Contains(f.requests(), "watch "+deployments+" 103") {
		t.Error(f.requests())
	}
}

func TestDeadConnectionDoesNotFailWhatHasRecovered(t *testing.T) {
	f := newFake(t)
	f.put(webStarts + "\n---\n" + set + "\n---\n" + podCrashes)
	w := f.follow(Options{}, theWeb)
	w.hears("failing in 12s")
	f.mu.Lock()
	f.mute = true
	f.mu.Unlock()
	f.put(podReady)
	w.clock.Advance(12 * time.Second)
	w.hears("0 of 1 new replicas are available")
	w.goesOn()
}

func TestRightThatIsMissing(t *testing.T) {
	f := newFake(t)
	f.put(webStarts)
	f.answer(podsAt, status(403, "Forbidden"))
	w := f.follow(Options{}, theWeb)
	w.ends("cannot follow what becomes of it: forbidden")
}

func TestRemovedBySomebody(t *testing.T) {
	f := newFake(t)
	f.put(webStarts)
	w := f.follow(Options{}, theWeb)
	w.hears("0 of 1")
	f.remove(deployments, "web")
	w.ends("deployment/web: is not there: somebody has removed it")
}

func TestReplacedBySomebody(t *testing.T) {
	f := newFake(t)
	f.put(webStarts)
	w := f.follow(Options{}, theWeb)
	w.hears("0 of 1")
	f.put(strings.Replace(webReady, "name: web,", "name: web, uid: another,", 1))
	w.ends("deployment/web: somebody has removed it and made another of the same name")
}
