package register

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/volume"

	"github.com/erlmcp/runner/builtins/record"
)

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestPack(t *testing.T) {
	r := &Register{Project: "p"}
	for name, data := range map[string][]byte{
		"nothing": nil, "text": []byte("{\"a\": \"<&>\u2028\"}\n"), "no text": {0xff, 0, '\n'}, "long text": []byte(strings.Repeat("0123456789", 1000)),
		"one label": noise(100 << 10), "parts": noise(1 << 20),
	} {
		labels, parts := r.pack(record.Record{Name: "n", Of: "a", Mark: "m", Data: data})
		for i, l := range append(parts, labels) {
			if l[labelProject] != "p" || l[labelOf] != "a" {
				t.Errorf("%s: the labels of %d are %v", name, i, l)
			}
			for k, v := range l {
				if len(v) > maxLabel {
					t.Errorf("%s: %s has %d bytes", name, k, len(v))
				}
			}
		}
		rec, err := unpack("n", labels, func(i int) map[string]string { return parts[i] })
		if err != nil || !bytes.Equal(rec.Data, data) || rec.Mark != "m" || rec.Of != "a" || rec.Parts != len(parts) {
			t.Errorf("%s: %d bytes in %d parts, %v", name, len(rec.Data), rec.Parts, err)
		}
		if name == "parts" && len(parts) < 2 || name == "text" && labels[labelText] != string(data) {
			t.Errorf("%s: %d parts, text %q", name, len(parts), labels[labelText])
		}
	}
}

func TestAssemble(t *testing.T) {
	r := &Register{Project: "p"}
	whole, parts := r.pack(record.Record{Name: "big", Mark: "m", Data: noise(600 << 10)})
	all := []volume.Volume{{Name: "p_runner.torn"}, {Name: "p_runner.other", Labels: map[string]string{"a": "b"}}, {Name: "p_runner.big", Labels: whole}}
	small, _ := r.pack(record.Record{Name: "a", Mark: "m"})
	all = append(all, volume.Volume{Name: "p_runner.a", Labels: small})
	for i, l := range parts {
		all = append(all, volume.Volume{Name: "p_runner.big" + partName("m", i), Labels: l})
	}
	got, bare, err := r.assemble(all)
	if err != nil || len(got) != 2 || got[0].Name != "a" || got[1].Name != "big" || len(bare) != 1 {
		t.Errorf("%d records, without labels %q, %v", len(got), bare, err)
	}
	if _, _, err := r.assemble(all[:len(all)-1]); err == nil || !strings.Contains(err.Error(), "cannot read the record big from the Docker engine: a part of it is missing") {
		t.Errorf("with a part missing: %v", err)
	}
}
