package kubetest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/kube/api"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Service is the address of a Service, and its first port.
func (n *Node) Service(t testing.TB, namespace, name string) string {
	t.Helper()
	o, err := n.Conn(t).Get(t.Context(), api.Ref{Version: "v1", Kind: "Service", Namespace: namespace, Name: name})
	if err != nil || o == nil {
		t.Fatalf("the Service %s: %v", name, err)
	}
	ip, _, _ := unstructured.NestedString(o.Object, "spec", "clusterIP")
	ports, _, _ := unstructured.NestedSlice(o.Object, "spec", "ports")
	return fmt.Sprintf("%s:%d", ip, ports[0].(map[string]any)["port"])
}

// Asked is what came of traffic.
type Asked struct {
	Asked   int
	Answers map[string]int // how many were answered with 200, by the first line of the answer
	Failed  []string       // when, and how, the others failed
	Over    time.Duration  // for how long it was asked
}

// The traffic is 200 requests a second, each by a new connection, no more than 32 at once, and for 3 minutes at most.
const (
	between = 5 * time.Millisecond
	atOnce  = 32
	longest = 3 * time.Minute
)

// Traffic asks an address in the node's network again and again, until it is stopped.
func (n *Node) Traffic(t testing.TB, url string) (stop func() Asked) {
	t.Helper()
	client := n.Client()
	out := Asked{Answers: map[string]int{}}
	begun := time.Now()
	var mu sync.Mutex
	ask := func() {
		at := time.Since(begun)
		answer, err := first(client, url)
		mu.Lock()
		defer mu.Unlock()
		out.Asked++
		if err != nil {
			out.Failed = append(out.Failed, fmt.Sprintf("%s: %v", at.Round(time.Millisecond), err))
		} else {
			out.Answers[answer]++
		}
	}
	enough, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		var all sync.WaitGroup
		defer all.Wait()
		slots := make(chan struct{}, atOnce)
		tick, end := time.NewTicker(between), time.After(longest)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-enough:
				return
			case <-end:
				return
			}
			slots <- struct{}{}
			all.Go(func() { ask(); <-slots })
		}
	}()
	end := sync.OnceFunc(func() {
		close(enough)
		<-over
		out.Over = time.Since(begun)
	})
	t.Cleanup(end)
	return func() Asked { end(); return out }
}

// first is the first line of an answer.
func first(client *http.Client, url string) (string, error) {
	r, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	line, _, _ := strings.Cut(string(b), "\n")
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.Status, line)
	}
	return line, err
}
