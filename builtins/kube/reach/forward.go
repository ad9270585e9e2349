package reach

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/erlmcp/runner/builtins/kube/api"
)

// Way leads connections to the pods of a workload's newest revision, one after the other. A pod that goes is no longer
// led to.
type Way struct {
	Conn     *api.Conn
	Workload api.Ref
	Port     int

	mu    sync.Mutex
	lines map[types.UID]httpstream.Connection
	over  bool // no more are opened
	turn  int
	id    int
}

const (
	// tries is how often a pod is looked for that takes a connection: between a look and a try one may go.
	tries = 5
	pause = 200 * time.Millisecond
)

// Listen gives an address on this machine that leads there, until ctx ends.
func (w *Way) Listen(ctx context.Context) (string, error) {
	w.lines = map[types.UID]httpstream.Connection{}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	context.AfterFunc(ctx, func() {
		l.Close()
		w.hangUp()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.lead(ctx, c)
		}
	}()
	return "http://" + l.Addr().String(), nil
}

// lead copies one connection to a pod and back. One that no pod takes is closed.
func (w *Way) lead(ctx context.Context, from net.Conn) {
	defer from.Close()
	to, done, err := w.dial(ctx)
	if err != nil {
		return
	}
	defer done()
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(from, to)
		from.Close()
	})
	io.Copy(to, from)
	to.Close()
	back.Wait()
}

// dial opens a stream to a pod's port.
func (w *Way) dial(ctx context.Context) (to httpstream.Stream, done func(), err error) {
	for try := range tries {
		if try > 0 && w.Conn.Clock.Sleep(ctx, pause) != nil {
			break
		}
		var pod *api.Object
		if pod, err = w.next(ctx); err != nil {
			continue
		}
		var line httpstream.Connection
		if line, err = w.line(pod); err != nil {
			continue
		}
		if to, done, err = w.stream(line); err == nil {
			return to, done, nil
		}
		w.drop(pod.GetUID(), line)
	}
	return nil, nil, cmp.Or(err, context.Cause(ctx))
}

// next is the pod whose turn it is.
func (w *Way) next(ctx context.Context) (*api.Object, error) {
	pods, err := Pods(ctx, w.Conn, w.Workload)
	if err != nil {
		return nil, err
	}
	if len(pods) == 0 {
		return nil, fmt.Errorf("no pod of %s is ready", w.Workload)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn++
	return pods[w.turn%len(pods)], nil
}

// line is the connection to a pod, which all its streams share.
func (w *Way) line(pod *api.Object) (httpstream.Connection, error) {
	w.mu.Lock()
	line := w.lines[pod.GetUID()]
	w.mu.Unlock()
	if holds(line) {
		return line, nil
	}
	line, err := open(w.Conn.Config, pod)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if other := w.lines[pod.GetUID()]; holds(other) { // two have opened one at once
		line.Close()
		return other, nil
	}
	if w.over {
		line.Close()
		return nil, context.Canceled
	}
	w.lines[pod.GetUID()] = line
	return line, nil
}

func holds(line httpstream.Connection) bool {
	if line == nil {
		return false
	}
	select {
	case <-line.CloseChan():
		return false
	default:
		return true
	}
}

func (w *Way) drop(uid types.UID, line httpstream.Connection) {
	line.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lines[uid] == line {
		delete(w.lines, uid)
	}
}

func (w *Way) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	for _, line := range w.lines {
		line.Close()
	}
}

// open asks the API server for a connection to a pod: over a WebSocket, or as servers before 1.30 had it.
func open(config *rest.Config, pod *api.Object) (httpstream.Connection, error) {
	at, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	u := at.JoinPath("api/v1/namespaces", pod.GetNamespace(), "pods", pod.GetName(), "portforward")
	first, err := portforward.NewSPDYOverWebsocketDialerForStreaming(u, config)
	if err != nil {
		return nil, err
	}
	second, err := spdyDialer(config, u)
	if err != nil {
		return nil, err
	}
	dialer := portforward.NewFallbackDialerForStreaming(first, second, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	line, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	return line, err
}

func spdyDialer(config *rest.Config, u *url.URL) (httpstream.Dialer, error) {
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	return spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, u), nil
}

// stream opens the two streams of one connection to a port: what is sent, and what the kubelet has to say about it.
func (w *Way) stream(line httpstream.Connection) (httpstream.Stream, func(), error) {
	w.mu.Lock()
	w.id++
	id := strconv.Itoa(w.id)
	w.mu.Unlock()
	head := http.Header{"Streamtype": {"error"}, "Port": {strconv.Itoa(w.Port)}, "Requestid": {id}}
	complaint, err := line.CreateStream(head)
	if err != nil {
		return nil, nil, err
	}
	complaint.Close() // nothing is written there
	head = head.Clone()
	head.Set("Streamtype", "data")
	data, err := line.CreateStream(head)
	if err != nil {
		line.RemoveStreams(complaint)
		return nil, nil, err
	}
	go func() {
		if said, err := io.ReadAll(complaint); err != nil || len(said) > 0 { // nothing listens there, or the pod is gone
			data.Reset()
		}
	}()
	return data, func() {
		data.Reset()
		line.RemoveStreams(complaint, data)
	}, nil
}
