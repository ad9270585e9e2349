// Package event holds the facts of a run: what happened, each a small struct, in one closed set.
//
// Plan, journal, undo log, verdict and output are folds over records of these facts. The JSON of a record is public
// and additive: a field may be added, never renamed or removed. The package refuses to format anything for people.
package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// A Fact is something that happened. The set is closed: All lists it.
type Fact interface {
	// Kind is the fact's name on the wire, in snake case.
	Kind() string
}

// A Record is a fact with its place in a run.
type Record struct {
	Seq  int64     // 1, 2, 3, ... within one log
	Time time.Time // UTC
	Run  string    // the run's id
	Fact Fact
}

// A Sink takes records one at a time, in order.
type Sink interface {
	Emit(Record) error
}

type header struct {
	Seq  int64     `json:"seq"`
	Time time.Time `json:"time"`
	Run  string    `json:"run"`
	Kind string    `json:"fact"`
}

// MarshalJSON writes the header's and the fact's fields into one flat object.
func (r Record) MarshalJSON() ([]byte, error) {
	head, err := encode(header{r.Seq, r.Time.UTC(), r.Run, r.Fact.Kind()})
	if err != nil {
		return nil, err
	}
	if other, ok := r.Fact.(Unrecognised); ok {
		return other.Raw, nil
	}
	body, err := encode(r.Fact)
	if err != nil {
		return nil, err
	}
	if len(body) == len("{}") {
		return head, nil
	}
	return append(append(head[:len(head)-1], ','), body[1:]...), nil
}

// encode is json.Marshal without the HTML escapes that make output unreadable.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// UnmarshalJSON reads a record. A fact of a newer runner becomes Unrecognised.
func (r *Record) UnmarshalJSON(data []byte) error {
	var h header
	if err := json.Unmarshal(data, &h); err != nil {
		return err
	}
	if h.Kind == "" {
		return fmt.Errorf(`cannot read a record: no "fact" in it`)
	}
	r.Seq, r.Time, r.Run = h.Seq, h.Time, h.Run
	for _, f := range All() {
		if f.Kind() != h.Kind {
			continue
		}
		p := reflect.New(reflect.TypeOf(f))
		if err := json.Unmarshal(data, p.Interface()); err != nil {
			return fmt.Errorf("cannot read a record of %s: %w", h.Kind, err)
		}
		r.Fact = p.Elem().Interface().(Fact)
		return nil
	}
	r.Fact = Unrecognised{Name: h.Kind, Raw: bytes.Clone(data)}
	return nil
}
