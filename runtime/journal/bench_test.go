package journal_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/journal"
)

// began is the record that stands before an effect.
func began() event.Record {
	return event.Record{Time: moment, Run: "20260126t120000-k3f9", Fact: event.OpStarted{
		Op: "7", Name: "releases.activate", Class: "change", Summary: "switch /opt/erlmcp to 000042", At: "deploy.star:31:5",
		Target: "host:/opt/erlmcp", Params: []byte(`{"root":"/opt/erlmcp","id":"000042","timeout":"1m0s"}`),
		Inverse: []byte(`{"op":"releases.restore","root":"/opt/erlmcp","to":"000041","from":["000042"]}`), Order: 3}}
}

func bare(b *testing.B) func() {
	line, err := journal.EncodeLine(began())
	must(b, err)
	f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
	must(b, err)
	b.Cleanup(func() { f.Close() })
	return func() {
		_, err := f.Write(line)
		must(b, err, f.Sync())
	}
}

func undoLog(b *testing.B) journal.Writer {
	log, err := take(b, home(b.TempDir()), "a").Open(b.Context(), "a")
	must(b, err)
	b.Cleanup(func() { log.Close() })
	return log
}

// BenchmarkBareFsync is a write of a record's size and an fsync: what the disk alone takes.
func BenchmarkBareFsync(b *testing.B) {
	write := bare(b)
	for b.Loop() {
		write()
	}
}

// BenchmarkAppendDurable is a Change's record made durable; x-bare is against a bare fsync of the same size, one for
// one in the same run.
func BenchmarkAppendDurable(b *testing.B) {
	log, write := undoLog(b), bare(b)
	var bareTime time.Duration
	for b.Loop() {
		must(b, log.Append(b.Context(), began(), true))
		b.StopTimer()
		begun := time.Now()
		write()
		bareTime += time.Since(begun)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(bareTime), "x-bare")
}

// BenchmarkAppend is a fact that rides along.
func BenchmarkAppend(b *testing.B) {
	log := undoLog(b)
	for b.Loop() {
		must(b, log.Append(b.Context(), event.Record{Time: moment, Run: "a", Fact: event.OpOutput{Op: "7", Text: "a line of output"}}, false))
	}
}
