// Package journal keeps the records of runs: the journal of the machine that runs, the undo log that lies with the
// target, and the lease under which the undo log is written. It knows facts and where they lie; it performs nothing.
package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/erlmcp/runner/runtime/event"
)

// A line of a log is a JSON object whose first field is the CRC-32C of all that follows that field, so that a log
// stays readable by every JSON tool and a torn or a rotten line is seen.
const (
	sumPrefix = `{"crc":"`
	sumEnd    = `",`
	sumLength = len(sumPrefix) + 8 + len(sumEnd)
)

// ErrDamaged is a log that is wrong before its end: a torn tail is ordinary, this is not.
var ErrDamaged = errors.New("the log is damaged")

// EncodeLine writes a record as one line of a log.
func EncodeLine(r event.Record) ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("cannot write a record of %s: %w", r.Fact.Kind(), err)
	}
	rest := body[1:] // without "{"
	line := fmt.Appendf(nil, "%s%08x%s", sumPrefix, sum(rest), sumEnd)
	return append(append(line, rest...), '\n'), nil
}

func sum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// decodeLine reads one line, without its newline.
func decodeLine(line []byte) (event.Record, error) {
	var r event.Record
	if len(line) < sumLength || !bytes.HasPrefix(line, []byte(sumPrefix)) {
		return r, errors.New("not a record")
	}
	var want uint32
	if _, err := fmt.Sscanf(string(line[len(sumPrefix):len(sumPrefix)+8]), "%08x", &want); err != nil {
		return r, errors.New("not a record")
	}
	rest := line[sumLength:]
	if sum(rest) != want {
		return r, errors.New("the checksum does not fit")
	}
	return r, r.UnmarshalJSON(append([]byte("{"), rest...))
}

// Decode reads a log: its records, and how many bytes of it are good. What stands behind them is a torn tail, as a
// killed writer or a lost power leaves it, and holds no whole record; a bad record before a good one is ErrDamaged.
func Decode(log io.Reader) (records []event.Record, good int64, err error) {
	in := bufio.NewReaderSize(log, 64<<10)
	var torn error
	var offset int64
	for {
		line, readErr := in.ReadBytes('\n')
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return records, good, readErr
		}
		offset += int64(len(line))
		whole := bytes.HasSuffix(line, []byte("\n"))
		if r, err := decodeLine(bytes.TrimSuffix(line, []byte("\n"))); whole && err == nil {
			switch {
			case torn != nil:
				return records, good, fmt.Errorf("%w behind record %d: %w", ErrDamaged, len(records), torn)
			case r.Seq != int64(len(records))+1:
				return records, good, fmt.Errorf("%w: record %d stands where %d should", ErrDamaged, r.Seq, len(records)+1)
			}
			records, good = append(records, r), offset
		} else if len(line) > 0 {
			torn = errors.Join(err, torn)
			if torn == nil {
				torn = errors.New("it has no end")
			}
		}
		if readErr != nil {
			return records, good, nil
		}
	}
}
