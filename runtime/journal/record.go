// Package journal keeps the records of runs: the journal of the machine that runs, the undo log that lies with the
// target, and the lease under which the undo log is written. It knows facts and where they lie; it performs nothing.
package journal

import (
	"bufio"
	"bytes"
	"cmp"
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
	body, err := r.MarshalJSON() // json.Marshal would change the text of an inverse: it escapes what HTML does
	if err != nil {
		return nil, fmt.Errorf("cannot write a record of %s: %w", r.Fact.Kind(), err)
	}
	rest := body[1:] // without "{"
	return append(append(head(rest), rest...), '\n'), nil
}

// head is what stands before the rest of a line.
func head(rest []byte) []byte {
	sum := crc32.Checksum(rest, crc32.MakeTable(crc32.Castagnoli))
	return fmt.Appendf(nil, "%s%08x%s", sumPrefix, sum, sumEnd)
}

// verify gives the JSON of a line, without its newline, when the checksum fits. It uses the line's memory.
func verify(line []byte) ([]byte, error) {
	if len(line) <= sumLength || !bytes.HasPrefix(line, []byte(sumPrefix)) {
		return nil, errors.New("not a record")
	}
	if !bytes.Equal(line[:sumLength], head(line[sumLength:])) {
		return nil, errors.New("the checksum does not fit")
	}
	line[sumLength-1] = '{'
	return line[sumLength-1:], nil
}

// Decode reads a log: its records, and how many bytes of it are good. What stands behind them is a torn tail, as a
// killed writer or a lost power leaves it, and holds no whole record; a bad record before a good one is ErrDamaged, and
// so is a whole one that says something else than a record.
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
		line, whole := bytes.CutSuffix(line, []byte("\n"))
		switch body, err := verify(line); {
		case !whole: // it has no end
		case err != nil:
			torn = cmp.Or(torn, err)
		default:
			r, err := decodeRecord(body, len(records), torn)
			if err != nil {
				return records, good, err
			}
			records, good = append(records, r), offset
		}
		if readErr != nil {
			return records, good, nil
		}
	}
}

// decodeRecord reads what stands behind n records, and behind torn where that is set.
func decodeRecord(body []byte, n int, torn error) (event.Record, error) {
	var r event.Record
	if torn != nil {
		return r, fmt.Errorf("%w behind record %d: %w", ErrDamaged, n, torn)
	}
	if err := r.UnmarshalJSON(body); err != nil {
		return r, fmt.Errorf("%w behind record %d: %w", ErrDamaged, n, err)
	}
	if r.Seq != int64(n)+1 {
		return r, fmt.Errorf("%w: record %d stands where %d should", ErrDamaged, r.Seq, n+1)
	}
	return r, nil
}
