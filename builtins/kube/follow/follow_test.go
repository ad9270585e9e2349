package follow

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/verdict"
)

// The last write to the end: of a few times the best, since others use the machine too.
func TestReadyAtOnceAfterTheLastWrite(t *testing.T) {
	best := time.Hour
	for range 10 {
		f := newFake(t)
		f.put(webStarts + "\n---\n" + set + "\n---\n" + podStarts)
		w := f.follow(Options{}, theWeb)
		w.hears("container app is being created")
		f.put(podReady)
		w.hears("0 of 1 new replicas are available")
		began := time.Now()
		f.put(webReady)
		w.ends("")
		best = min(best, time.Since(began))
		if v := w.result.Standing[0]; v.State != verdict.Ready || v.Why != "1 of 1 replica is ready" {
			t.Error(v)
		}
	}
	t.Log("from the last write to the end:", best)
	if best > 20*time.Millisecond {
		t.Errorf("it took %s", best)
	}
}

func TestDoomedEndsAtOnce(t *testing.T) {
	f := newFake(t)
	f.put(webStarts + "\n---\n" + set + "\n---\n" + podStarts)
	w := f.follow(Options{}, theWeb)
	w.hears("being created")
	f.put(podMissing)
	err := w.ends("deployment/web: pod web-2-a: container app has the image app:2, which the registry does not have")
	var failure *Failure
	if !errors.As(err, &failure) || failure.Cause != nil || failure.Verdict.Cause != verdict.ImageMissing || failure.Pod != "web-2-a" {
		t.Errorf("%#v", err)
	}
}

func TestSuspectLastsItsBudget(t *testing.T) {
	f := newFake(t)
	f.put(webStarts + "\n---\n" + set + "\n---\n" + podCrashes)
	w := f.follow(Options{}, theWeb)
	w.hears(crashes + "; failing in 12s unless it recovers")
	w.clock.Advance(11 * time.Second)
	w.goesOn()
	w.clock.Advance(time.Second)
	w.ends(crashes)
}

func TestSuspectThatRecovers(t *testing.T) {
	f := newFake(t)
	f.put(webStarts + "\n---\n" + set + "\n---\n" + podCrashes)
	w := f.follow(Options{}, theWeb)
	w.hears("failing in 12s")
	w.clock.Advance(8 * time.Second)
	f.put(podReady)
	f.put(webReady)
	w.ends("")
}

func TestCrashLoopThatIsWellInBetween(t *testing.T) {
	f := newFake(t)
	f.put(webStarts + "\n---\n" + set + "\n---\n" + podCrashes)
	w := f.follow(Options{}, theWeb)
	w.hears("failing in 12s")
	w.clock.Advance(8 * time.Second)
	f.put(podBack)
	w.hears("0 of 1 new replicas are available")
	w.clock.Advance(5 * time.Second)
	f.put(podCrashes)
	w.hears("failing in 4s")
	w.clock.Advance(4 * time.Second)
	w.ends(crashes)
}

func TestRecoveryForgetsAfterAWhile(t *testing.T) {
	f := newFake(t)
	f.put(webStarts + "\n---\n" + set + "\n---\n" + podCrashes)
	w := f.follow(Options{}, theWeb)
	w.hears("failing in 12s")
	w.clock.Advance(8 * time.Second)
	f.put(podBack)
	w.hears("0 of 1 new replicas are available")
	w.clock.Advance(11 * time.Second)
	f.put(podCrashes)
	w.hears("failing in 12s")
}

func TestReadyThatHasJustCrashedMustStay(t *testing.T) {
	f := newFake(t)
	just := strings.Replace(podBack, "exitCode: 1", `exitCode: 1, finishedAt: "2026-01-26T11:59:58Z"`, 1)
	f.put(webReady + "\n---\n" + set + "\n---\n" + just)
	w := f.follow(Options{}, theWeb)
	w.hears("is ready, but has just been restarted")
	w.clock.Advance(9 * time.Second)
	w.goesOn()
	w.clock.Advance(time.Second)
	w.ends("")
}

const job = `
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec: {ttlSecondsAfterFinished: 0}
status: {active: 1}`

func TestJobThatRemovesItself(t *testing.T) {
	f := newFake(t)
	f.put(job)
	w := f.follow(Options{}, Item{Ref: api.Ref{Group: "batch", Version: "v1", Kind: "Job", Namespace: "shop", Name: "migrate"}})
	w.hears("job/migrate: runs")
	f.remove("/apis/batch/v1/namespaces/shop/jobs", "migrate")
	w.ends("")
}

func TestAutoscalerAtWorkStopsTheTime(t *testing.T) {
	f := newFake(t)
	f.put(webStarts + "\n---\n" + set + "\n---\n" + podNoNode)
	w := f.follow(Options{}, theWeb)
	w.hears("failing in 1m0s")
	w.clock.Advance(50 * time.Second)
	f.put(`
apiVersion: v1
kind: Event
metadata: {name: up}
involvedObject: {uid: web-2-a}
reason: TriggeredScaleUp
message: pool 1->2`)
	w.hears("an autoscaler adds nodes; waited for")
	w.clock.Advance(10 * time.Minute)
	w.goesOn()
	f.put(podReady)
	f.put(webReady)
	w.ends("")
}

const db = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, generation: 1}
spec: {replicas: 1}
status: {observedGeneration: 1, replicas: 1, updatedReplicas: 1`

var theDB = Item{Ref: api.Ref{Group: "apps", Version: "v1", Kind: "StatefulSet", Namespace: "shop", Name: "db"}}

func TestCrashLoopWaitsForOthersOfTheSet(t *testing.T) {
	f := newFake(t)
	f.put(webStarts + "\n---\n" + set + "\n---\n" + podCrashes + "\n---\n" + db + "}")
	w := f.follow(Options{}, theWeb, theDB)
	w.hears("failing in 1m15s")
	w.clock.Advance(30 * time.Second)
	w.goesOn()
	f.put(db + ", readyReplicas: 1, availableReplicas: 1}")
	w.ends(crashes)
}

const widget = `
apiVersion: example.com/v1
kind: Widget
metadata: {name: w, generation: 1}
status: {observedGeneration: 1, conditions: [{type: Ready, status: "`

func TestConfigThatACustomResourceMakes(t *testing.T) {
	f := newFake(t)
	f.put(webStarts + "\n---\n" + set + "\n---\n" + podConfig + "\n---\n" + widget + `False"}]}`)
	w := f.follow(Options{}, theWeb, Item{Ref: api.Ref{Group: "example.com", Version: "v1", Kind: "Widget", Namespace: "shop", Name: "w"}})
	w.hears("something of the set may be making it")
	f.put(widget + `True"}]}`)
	w.ends("deployment/web: pod web-2-a: container app needs the Secret db, which is not there")
}

const service = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.0.0.7, selector: {app: web}}`

var theService = Item{Ref: api.Ref{Version: "v1", Kind: "Service", Namespace: "shop", Name: "web"}}

func TestServiceWaitsForAReadyPod(t *testing.T) {
	f := newFake(t)
	f.put(webReady + "\n---\n" + set + "\n---\n" + podReady + "\n---\n" + service)
	w := f.follow(Options{}, theWeb, theService)
	w.hears("service/web: no pod behind it is ready yet")
	f.put(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-s, labels: {kubernetes.io/service-name: web}}
endpoints: [{conditions: {ready: true}, targetRef: {kind: Pod, uid: web-2-a}}]`)
	w.ends("")
}

func TestWhatOthersWaitForIsTold(t *testing.T) {
	f := newFake(t)
	f.put(webStarts + "\n---\n" + service)
	w := f.follow(Options{}, theService, theWeb)
	w.hears("deployment/web: 0 of 1")
	w.cancel(errors.New("3s are over"))
	w.ends("deployment/web: 0 of 1 new replicas are available; 1 more not ready: 3s are over")
}

func TestServiceOfWorkloadsWithoutReplicas(t *testing.T) {
	f := newFake(t)
	f.put(strings.Replace(web, "replicas: 1", "replicas: 0", 1) + "status: {observedGeneration: 2}\n---\n" + service)
	f.follow(Options{}, theWeb, theService).ends("")
}

const claim = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {storageClassName: slow}
status: {phase: Pending}`

func TestClaimThatWaitsForItsFirstPod(t *testing.T) {
	f := newFake(t)
	f.put(claim + "\n---\n" + `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: slow}
volumeBindingMode: WaitForFirstConsumer`)
	f.follow(Options{}, Item{Ref: api.Ref{Version: "v1", Kind: "PersistentVolumeClaim", Namespace: "shop", Name: "data"}}).ends("")
}

func TestPlainObjectsAreReadOnlyWhereTheyWereNotWritten(t *testing.T) {
	f := newFake(t)
	f.put("apiVersion: v1\nkind: Secret\nmetadata: {name: a}")
	ref := api.Ref{Version: "v1", Kind: "Secret", Namespace: "shop", Name: "a"}
	f.follow(Options{}, Item{Ref: ref, ResourceVersion: "5"}).ends("")
	if f.requests() != "" {
		t.Error(f.requests())
	}
	f.follow(Options{}, Item{Ref: ref}).ends("")
	if f.requests() != "list /api/v1/namespaces/shop/secrets/a" {
		t.Error(f.requests())
	}
	ref.Name = "b"
	f.follow(Options{}, Item{Ref: ref}).ends("secret/b: is not there: somebody has removed it")
}

func TestStays(t *testing.T) {
	f := newFake(t)
	f.put(webReady + "\n---\n" + set)
	w := f.follow(Options{Stay: 10 * time.Second}, theWeb)
	w.hears("1 of 1 replica is ready")
	w.clock.Advance(6 * time.Second)
	w.goesOn()
	f.put(webStarts)
	w.hears("0 of 1")
	f.put(webReady)
	w.hears("1 of 1 replica is ready")
	w.clock.Advance(6 * time.Second)
	w.goesOn()
	w.clock.Advance(4 * time.Second)
	w.ends("")
}

func TestOneListAndOneWatchAKind(t *testing.T) {
	f := newFake(t)
	other := strings.NewReplacer("name: web,", "name: api,")
	f.put(webReady + "\n---\n" + other.Replace(webStarts) + "\n---\n" + db + "}")
	second := theWeb
	second.Ref.Name, second.UID = "api", "api"
	w := f.follow(Options{}, theWeb, second, theDB)
	w.hears("statefulset/db")
	f.put(other.Replace(webReady))
	w.hears("deployment/api: 1 of 1 replica is ready")
	got := map[string]int{}
	for _, r := range strings.Split(f.requests(), "\n") {
		got[r]++
	}
	for _, want := range []string{"list " + deployments, "list " + podsAt, "list /api/v1/namespaces/shop/events", "list /apis/apps/v1/namespaces/shop/replicasets",
		"list /apis/apps/v1/namespaces/shop/statefulsets metadata.name=db"} {
		if got[want] != 1 {
			t.Errorf("%d of %s in\n%s", got[want], want, f.requests())
		}
	}
	if n := strings.Count(f.requests(), "list "); n != 5 {
		t.Errorf("%d lists:\n%s", n, f.requests())
	}
}

func TestLook(t *testing.T) {
	f := newFake(t)
	f.put(webStarts + "\n---\n" + set + "\n---\n" + podCrashes)
	conn, _ := f.conn()
	r, err := Look(t.Context(), conn, []Item{theWeb}, nil)
	if err != nil || len(r.Standing) != 1 || r.Standing[0].State != verdict.Suspect || r.Standing[0].Cause != verdict.CrashLoop {
		t.Error(r, err)
	}
}
