package register

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/record"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Labels and annotations of what holds records. Values of labels are what lists can be asked for by.
const (
	labelBy     = "app.kubernetes.io/managed-by"
	labelTarget = "erlmcp.org/runner-target"
	labelKind   = "erlmcp.org/runner-kind" // the first part of a record's name
	labelKey    = "erlmcp.org/runner-key"  // the second one, where another follows
	labelOf     = "erlmcp.org/runner-of"
	noteName    = "erlmcp.org/runner-name"
	noteMark    = "erlmcp.org/runner-mark"
	noteOf      = "erlmcp.org/runner-of"
	noteParts   = "erlmcp.org/runner-parts" // how many more Secrets hold the rest
	notePart    = "erlmcp.org/runner-part"  // such a Secret: its number
)

// secretType is the type of the Secrets.
const secretType = "erlmcp.org/runner-record"

// Keys of a Secret's data.
const (
	keyText = "text" // the data, as they are
	keyZstd = "zstd" // the data, compressed; or a piece of that
)

const (
	// maxText is the largest record that is kept readable for people, in bytes.
	maxText = 4 << 10
	// maxPiece is how much of a record a Secret holds: a cluster takes 1 MiB, and etcd 1.5 MiB for a request, in which
	// the data are base64.
	maxPiece = 768 << 10
	// maxObject is the longest name of an object.
	maxObject = 253
	// maxValue is the longest value of a label.
	maxValue = 63
)

var (
	goodValue  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	goodObject = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	badObject  = regexp.MustCompile(`[^a-z0-9-]`)
)

// value is a text as the value of a label. Different texts may have one.
func value(text string) string {
	if text = text[:min(len(text), maxValue)]; goodValue.MatchString(text) || text == "" {
		return text
	}
	return short(text)
}

func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// object is the name of the Secret of a record: "log.RUN.000000001" is runner-undo-TARGET-RUN-000000001. One that
// cannot be spelled so has the digest of its name in its own.
func (r *Register) object(name string) string {
	kind, rest, _ := strings.Cut(name, ".")
	if kind == "log" {
		kind = "undo"
	}
	dashed := strings.ReplaceAll(kind+"-"+r.Name+"-"+rest, ".", "-")
	out := "runner-" + badObject.ReplaceAllString(strings.ToLower(dashed), "-")
	if out != "runner-"+dashed || !goodObject.MatchString(out) || len(out) > maxObject-maxSuffix {
		out = strings.TrimRight(out[:min(len(out), maxObject-maxSuffix-17)], "-") + "-" + short(name)
	}
	return out
}

// maxSuffix is how long that can be which the name of a part has behind that of its record.
const maxSuffix = 40

// partName is the name of a part. The parts are made before the record: it is there as a whole or not at all.
func partName(object, mark string, i int) string {
	return fmt.Sprintf("%s-%s-%d", object, short(mark), i)
}

func (r *Register) secret(object string) api.Ref {
	return api.Ref{Version: "v1", Kind: "Secret", Namespace: r.Namespace, Name: object}
}

// selector asks for all records below a prefix, and perhaps for more.
func (r *Register) selector(prefix string) string {
	out := labelTarget + "=" + r.Name
	at := strings.Split(prefix, ".")
	if len(at) > 1 {
		out += "," + labelKind + "=" + value(at[0])
	}
	if len(at) > 2 {
		out += "," + labelKey + "=" + value(at[1])
	}
	return out
}

// wrap is a Secret of a record.
func (r *Register) wrap(rec record.Record, object, key string, data []byte, notes map[string]string) *api.Object {
	at := strings.SplitN(rec.Name, ".", 3)
	labels := map[string]any{labelBy: api.Manager, labelTarget: r.Name, labelKind: value(at[0])}
	if len(at) > 2 {
		labels[labelKey] = value(at[1])
	}
	annotations := map[string]any{noteName: rec.Name, noteMark: rec.Mark}
	if rec.Of != "" {
		labels[labelOf], annotations[noteOf] = value(rec.Of), rec.Of
	}
	for k, v := range notes {
		annotations[k] = v
	}
	return &api.Object{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": secretType, "immutable": true,
		"metadata": map[string]any{"name": object, "namespace": r.Namespace, "labels": labels, "annotations": annotations},
		"data":     map[string]any{key: base64.StdEncoding.EncodeToString(data)},
	}}
}

// pack gives the Secret of a record, and those of what it has no room for.
func (r *Register) pack(rec record.Record) (head *api.Object, parts []*api.Object) {
	name := r.object(rec.Name)
	if len(rec.Data) <= maxText && utf8.Valid(rec.Data) {
		return r.wrap(rec, name, keyText, rec.Data, nil), nil
	}
	rest := record.Compress(rec.Data)
	first := rest[:min(len(rest), maxPiece)]
	for rest = rest[len(first):]; len(rest) > 0; {
		n := min(len(rest), maxPiece)
		i := len(parts)
		parts = append(parts, r.wrap(rec, partName(name, rec.Mark, i), keyZstd, rest[:n], map[string]string{notePart: strconv.Itoa(i)}))
		rest = rest[n:]
	}
	var notes map[string]string
	if len(parts) > 0 {
		notes = map[string]string{noteParts: strconv.Itoa(len(parts))}
	}
	return r.wrap(rec, name, keyZstd, first, notes), parts
}

// assemble reads records from Secrets, among which are all their parts.
func assemble(all []api.Object) (out []record.Record, err error) {
	byName := map[string]*api.Object{}
	for i := range all {
		byName[all[i].GetName()] = &all[i]
	}
	for i := range all {
		o := &all[i]
		notes := o.GetAnnotations()
		if _, part := notes[notePart]; part || notes[noteName] == "" {
			continue
		}
		rec, e := unpack(o, func(i int) *api.Object { return byName[partName(o.GetName(), notes[noteMark], i)] })
		if e != nil {
			err = fmt.Errorf("the Secret %s/%s: %w", o.GetNamespace(), o.GetName(), e)
			continue
		}
		out = append(out, rec)
	}
	return out, err
}

// unpack reads a record from its Secret and its parts.
func unpack(o *api.Object, part func(int) *api.Object) (record.Record, error) {
	notes := o.GetAnnotations()
	rec := record.Record{Name: notes[noteName], Of: notes[noteOf], Mark: notes[noteMark]}
	rec.Parts, _ = strconv.Atoi(notes[noteParts])
	text, plain, err := bytesAt(o, keyText)
	if plain || err != nil {
		rec.Data = text
		return rec, err
	}
	var packed []byte
	for i := -1; i < rec.Parts; i++ {
		at := o
		if i >= 0 {
			at = part(i)
		}
		if at == nil {
			return rec, errors.New("a part of it is missing")
		}
		piece, _, err := bytesAt(at, keyZstd)
		if err != nil {
			return rec, err
		}
		packed = append(packed, piece...)
	}
	rec.Data, err = record.Expand(packed)
	return rec, err
}

func bytesAt(o *api.Object, key string) ([]byte, bool, error) {
	text, there, err := unstructured.NestedString(o.Object, "data", key)
	if err != nil || !there {
		return nil, false, err
	}
	data, err := base64.StdEncoding.DecodeString(text)
	return data, true, err
}
