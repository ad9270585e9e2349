package register

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/erlmcp/runner/builtins/record"
)

// Labels of a record's volumes.
const (
	labelProject = "org.erlmcp.runner.register" // the project
	labelOf      = "org.erlmcp.runner.of"
	labelMark    = "org.erlmcp.runner.mark"
	labelText    = "org.erlmcp.runner.text"  // the data, as they are
	labelZstd    = "org.erlmcp.runner.zstd"  // the data, compressed, in base64; or the first piece of that
	labelParts   = "org.erlmcp.runner.parts" // how many volumes hold the rest
	labelPart    = "org.erlmcp.runner.part"  // such a volume: its number
)

const (
	// maxName is the longest name of a volume: it is a folder's.
	maxName = 255
	// maxText is the largest record that is kept readable for people, in bytes.
	maxText = 1 << 10
	// maxLabel is the largest value of a label that is asked of an engine. One of 4 MiB works; the time that it takes
	// grows with the size from here on, and others wait meanwhile.
	maxLabel = 256 << 10
)

// partName is what the name of a part has behind that of its record. The parts are made before the record: it is there
// as a whole or not at all.
func partName(mark string, i int) string { return fmt.Sprintf(".%s.%d", mark, i) }

// pack gives the labels of a record's volume, and of those that hold what it has no room for.
func (r *Register) pack(rec record.Record) (labels map[string]string, parts []map[string]string) {
	labels = map[string]string{labelProject: r.Project, labelMark: rec.Mark}
	if rec.Of != "" {
		labels[labelOf] = rec.Of
	}
	if len(rec.Data) <= maxText && utf8.Valid(rec.Data) {
		labels[labelText] = string(rec.Data)
		return labels, nil
	}
	rest := base64.StdEncoding.EncodeToString(record.Compress(rec.Data))
	head := min(len(rest), maxLabel)
	labels[labelZstd], rest = rest[:head], rest[head:]
	for len(rest) > 0 {
		n := min(len(rest), maxLabel)
		p := map[string]string{labelProject: r.Project, labelPart: strconv.Itoa(len(parts)), labelZstd: rest[:n]}
		if rec.Of != "" {
			p[labelOf] = rec.Of
		}
		parts, rest = append(parts, p), rest[n:]
	}
	if len(parts) > 0 {
		labels[labelParts] = strconv.Itoa(len(parts))
	}
	return labels, parts
}

// unpack reads a record from the labels of its volume and of its parts.
func unpack(name string, labels map[string]string, part func(int) map[string]string) (record.Record, error) {
	rec := record.Record{Name: name, Of: labels[labelOf], Mark: labels[labelMark]}
	text, plain := labels[labelText]
	if plain {
		rec.Data = []byte(text)
		return rec, nil
	}
	var all strings.Builder
	all.WriteString(labels[labelZstd])
	rec.Parts, _ = strconv.Atoi(labels[labelParts])
	for i := range rec.Parts {
		piece, ok := part(i)[labelZstd]
		if !ok {
			return rec, errors.New("a part of it is missing")
		}
		all.WriteString(piece)
	}
	packed, err := base64.StdEncoding.DecodeString(all.String())
	if err == nil {
		rec.Data, err = record.Expand(packed)
	}
	return rec, err
}
