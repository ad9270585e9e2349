package homesuite

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/host"
)

func roundTrip(w *world) {
	l := w.take(w.open(), "a")
	log := w.log(l, "a")
	facts := append(event.All(), event.OpStarted{
		Op: "7/web/2", Name: "releases.activate", Class: "change", Summary: "switch \"/opt/ü\" <to>\n& more", Order: 3,
		Inverse: json.RawMessage(`{"op":"releases.restore","text":"<&>\u2028"}`),
	})
	var want []event.Record
	for i, f := range facts {
		r := event.Record{Seq: 77, Time: time.Date(2026, 1, 26, 12, 0, 0, i, time.UTC), Run: "a", Fact: f}
		w.must(log.Append(w.ctx, r, i%3 == 0))
		r.Seq = int64(i + 1)
		want = append(want, r)
	}
	w.must(log.Close())
	got, err := w.open().Read(w.ctx, "a")
	w.must(err)
	if len(got) != len(want) {
		w.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], clean(want[i])) {
			w.Errorf("record %d is\n%#v, want\n%#v", i+1, got[i], want[i])
		}
	}
}

// clean is a record as JSON gives it back: an absent message that is not optional reads as null.
func clean(r event.Record) event.Record {
	if f, ok := r.Fact.(event.CheckAsked); ok && f.Params == nil {
		f.Params = json.RawMessage("null")
		r.Fact = f
	}
	return r
}

func large(w *world) {
	log := w.log(w.take(w.open(), "a"), "a")
	text := strings.Repeat("0123456789abcdef", 1<<16)
	for range 2 {
		w.must(log.Append(w.ctx, event.Record{Run: "a", Fact: event.Noted{Text: text}}, true))
	}
	got, err := w.open().Read(w.ctx, "a")
	w.must(err)
	if len(got) != 2 || got[1].Fact != (event.Noted{Text: text}) {
		w.Errorf("%d records of a megabyte, not as they were written", len(got))
	}
}

func continues(w *world) {
	for n := range 3 {
		l := w.take(w.open(), "taker")
		log := w.log(l, "a")
		w.notes(log, "a", 10*n+1, 10*n+10)
		w.must(log.Close())
		w.expect(w.open(), "a", 10*n+10)
		w.must(l.Release())
	}
}

func readWhileWritten(w *world) {
	log := w.log(w.take(w.open(), "a"), "a")
	w.notes(log, "a", 1, 2) // the second is durable: what is not may be seen with the next that is
	const all = 60
	errs := make(chan error, 1)
	go func() {
		defer close(errs)
		for n := 3; n <= all; n++ {
			if err := log.Append(w.ctx, note("a", n), n%2 == 0); err != nil {
				errs <- err
				return
			}
		}
	}()
	reader := w.open()
	for seen := 0; seen < all; {
		got, err := reader.Read(w.ctx, "a")
		w.must(err)
		if len(got) < seen || len(got) == 0 {
			w.Fatalf("%d records, after %d were read", len(got), seen)
		}
		w.prefix(got, "a")
		seen = len(got)
		select {
		case err, failed := <-errs:
			if failed {
				w.Fatal(err)
			}
		default:
		}
	}
	<-errs
}

func blobs(w *world) {
	l := w.take(w.open(), "a")
	log := w.log(l, "a")
	for _, data := range [][]byte{nil, []byte("an old config file"), bytes.Repeat([]byte{0, 255, '\n'}, 300<<10)} {
		for range 2 {
			digest, err := log.Put(w.ctx, data)
			w.must(err)
			if digest != host.SHA256(data) {
				w.Fatalf("the digest of %d bytes is %s", len(data), digest)
			}
			got, err := w.open().Blob(w.ctx, digest)
			w.must(err)
			if !bytes.Equal(got, data) {
				w.Errorf("a blob of %d bytes comes back with %d", len(data), len(got))
			}
		}
	}
	runs, err := w.open().Logs(w.ctx)
	w.must(err)
	if !slices.Equal(runs, []string{"a"}) {
		w.Errorf("with blobs, the logs are %q", runs)
	}
}

func listed(w *world) {
	list := func(want ...string) {
		w.Helper()
		got, err := w.open().Logs(w.ctx)
		w.must(err)
		if !slices.Equal(got, want) {
			w.Fatalf("the logs are %q, want %q", got, want)
		}
	}
	list()
	l := w.take(w.open(), "taker")
	list()
	runs := []string{"20260126t120000-k3f9", "20260126t120001-a000", "20260127t000000-0000"}
	for _, i := range []int{2, 0, 1} {
		log := w.log(l, runs[i])
		w.notes(log, runs[i], 1, i+1)
		w.must(log.Close())
	}
	list(runs...)
	w.must(l.Drop(w.ctx, runs[1]))
	list(runs[0], runs[2])
	w.expect(w.open(), runs[0], 1)
	w.expect(w.open(), runs[2], 3)
	if _, err := w.open().Read(w.ctx, runs[1]); err == nil {
		w.Error("a log that was dropped is read")
	}
	log := w.log(l, runs[1])
	w.notes(log, runs[1], 1, 2)
	w.expect(w.open(), runs[1], 2)
}

func absent(w *world) {
	h := w.open()
	if _, err := h.Read(w.ctx, "nobody"); err == nil {
		w.Error("the log of a run that never was is read")
	}
	if _, err := h.Blob(w.ctx, host.SHA256([]byte("never put"))); err == nil {
		w.Error("a blob that was never put is read")
	}
	log := w.log(w.take(h, "a"), "a")
	w.must(log.Close())
	w.expect(w.open(), "a", 0)
}
