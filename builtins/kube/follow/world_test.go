package follow

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/host/hosttest"
)

const (
	web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, generation: 2}
spec: {replicas: 1, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: "app:2"}]}}}
`
	webStarts = web + `status: {observedGeneration: 2, replicas: 1, updatedReplicas: 1}`
	webReady  = web + `status: {observedGeneration: 2, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1}`
	set       = `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-2, ownerReferences: [{uid: web}]}
spec: {template: {metadata: {labels: {app: web, pod-template-hash: "2"}}, spec: {containers: [{name: app, image: "app:2"}]}}}
`
	pod = `
apiVersion: v1
kind: Pod
metadata: {name: web-2-a, labels: {app: web}, ownerReferences: [{uid: web-2}]}
spec: {restartPolicy: Always, containers: [{name: app, image: "app:2"}]}
`
	podStarts  = pod + `status: {phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: ContainerCreating}}}]}`
	podReady   = pod + `status: {phase: Running, conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: app, ready: true, state: {running: {}}}]}`
	podMissing = pod + `status: {phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: ErrImagePull, message: "app:2: not found"}}}]}`
	podCrashes = pod + `status: {phase: Running, containerStatuses: [{name: app, restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1}}}]}`
	podBack    = pod + `status: {phase: Running, conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: app, ready: true, restartCount: 2, state: {running: {}}, lastState: {terminated: {exitCode: 1}}}]}`
	podConfig  = pod + `status: {phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: CreateContainerConfigError, message: 'secret "db" not found'}}}]}`
	podNoNode  = pod + `status: {phase: Pending, conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: "1 Insufficient cpu"}]}`

	deployments = "/apis/apps/v1/namespaces/shop/deployments"
	podsAt      = "/api/v1/namespaces/shop/pods"
)

var theWeb = Item{Ref: api.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"}, UID: "web", Generation: 2}

// followed is a Follow that a test looks at.
type followed struct {
	t      *testing.T
	clock  *hosttest.Clock
	fake   *fake
	told   chan Change
	ended  chan error
	result Result
	cancel context.CancelCauseFunc
}

func (f *fake) follow(how Options, items ...Item) *followed {
	conn, clock := f.conn()
	clock.Hold()
	ctx, cancel := context.WithCancelCause(f.t.Context())
	out := &followed{t: f.t, clock: clock, fake: f, told: make(chan Change, 1000), ended: make(chan error, 1), cancel: cancel}
	go func() {
		var err error
		out.result, err = Follow(ctx, conn, items, how, func(c Change) { out.told <- c })
		out.ended <- err
	}()
	f.t.Cleanup(func() { cancel(nil) })
	return out
}

// hears waits until something is told that holds a text.
func (f *followed) hears(text string) {
	f.t.Helper()
	limit := time.After(10 * time.Second)
	var heard []string
	for {
		select {
		case c := <-f.told:
			heard = append(heard, c.String())
			if strings.Contains(c.String(), text) {
				return
			}
		case err := <-f.ended:
			f.t.Fatalf("it has ended: %v\nwant %q, heard:\n%s", err, text, strings.Join(heard, "\n"))
		case <-limit:
			f.t.Fatalf("want %q, heard:\n%s\nasked:\n%s", text, strings.Join(heard, "\n"), f.fake.requests())
		}
	}
}

// ends waits for the end; want is its error, "" for none.
func (f *followed) ends(want string) error {
	f.t.Helper()
	select {
	case err := <-f.ended:
		if got := errText(err); got != want {
			f.t.Fatalf("got  %s\nwant %s", got, want)
		}
		return err
	case <-time.After(10 * time.Second):
		f.t.Fatalf("it does not end; asked:\n%s", f.fake.requests())
	}
	return nil
}

// pass lets time pass a little at a time, for those that sleep before they ask again, until the test has heard enough.
func (f *followed) pass() (rest func()) {
	enough, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case <-enough:
				return
			case <-time.After(5 * time.Millisecond):
				f.clock.Advance(20 * time.Millisecond)
			}
		}
	}()
	return func() { close(enough); <-over }
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// goesOn sees that it has not ended after a while.
func (f *followed) goesOn() {
	f.t.Helper()
	select {
	case err := <-f.ended:
		f.t.Fatalf("it has ended: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
}

const crashes = "deployment/web: pod web-2-a: container app exits with 1 again and again (2 restarts)"
