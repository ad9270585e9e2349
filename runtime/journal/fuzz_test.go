package journal_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/erlmcp/runner/runtime/journal"
)

// FuzzDecode holds that whatever stands behind good records takes none of them away, and that what Decode calls good is
// whole lines which say the same when they are read alone. The seeds lie in testdata/fuzz/FuzzDecode.
func FuzzDecode(f *testing.F) {
	all := lines(f, 8)
	f.Fuzz(func(t *testing.T, n uint8, tail []byte) {
		prefix := bytes.Join(all[:n%9], nil)
		log := append(bytes.Clone(prefix), tail...)
		records, good, err := journal.Decode(bytes.NewReader(log))
		if err != nil && !errors.Is(err, journal.ErrDamaged) {
			t.Fatalf("the error of a log is %v", err)
		}
		if len(records) < int(n%9) || good < int64(len(prefix)) || good > int64(len(log)) {
			t.Fatalf("%d records, %d good bytes, of %d records in %d bytes of %d", len(records), good, n%9, len(prefix), len(log))
		}
		if good > 0 && log[good-1] != '\n' {
			t.Fatalf("the good part ends within a line: %q", log[:good])
		}
		again, whole, err := journal.Decode(bytes.NewReader(log[:good]))
		if err != nil || whole != good || !reflect.DeepEqual(again, records) {
			t.Fatalf("the good part alone: %d records of %d, %d bytes of %d, %v", len(again), len(records), whole, good, err)
		}
		for i, r := range records {
			if r.Seq != int64(i+1) || r.Fact == nil {
				t.Fatalf("record %d is %+v", i+1, r)
			}
		}
	})
}
