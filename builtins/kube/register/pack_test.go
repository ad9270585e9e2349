package register

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/record"
	"k8s.io/apimachinery/pkg/util/validation"
)

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestPack(t *testing.T) {
	r := &Register{Namespace: "ops", Name: "shop"}
	for name, data := range map[string][]byte{
		"nothing": nil, "text": []byte("{\"a\": \"<&>\u2028\"}\n"), "no text": {0xff, 0, '\n'}, "long text": []byte(strings.Repeat("0123456789", 1000)),
		"one Secret": noise(100 << 10), "parts": noise(3 << 20),
	} {
		head, parts := r.pack(record.Record{Name: "log.a.1", Of: "a", Mark: "m", Data: data})
		var all []api.Object
		for _, o := range append(parts, head) {
			all = append(all, *o)
			b, _ := o.MarshalJSON()
			if len(b) > 1200<<10 || o.Object["immutable"] != true || o.GetLabels()[labelTarget] != "shop" || o.GetLabels()[labelOf] != "a" {
				t.Errorf("%s: %d bytes, %v", name, len(b), o.GetLabels())
			}
		}
		got, err := assemble(all)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %d records, %v", name, len(got), err)
		}
		if rec := got[0]; !bytes.Equal(rec.Data, data) || rec.Name != "log.a.1" || rec.Mark != "m" || rec.Of != "a" || rec.Parts != len(parts) {
			t.Errorf("%s: %d bytes, %+v", name, len(rec.Data), rec.Name)
		}
		if name != "parts" {
			continue
		}
		if len(parts) < 3 {
			t.Errorf("%d parts", len(parts))
		}
		if _, err := assemble(all[1:]); err == nil || !strings.Contains(err.Error(), "the Secret ops/runner-undo-shop-a-1: a part of it is missing") {
			t.Errorf("with a part missing: %v", err)
		}
	}
}

func TestObjectNames(t *testing.T) {
	r := &Register{Namespace: "ops", Name: "shop"}
	seen := map[string]string{}
	for name, want := range map[string]string{
		"log.20260126t120000-k3f9.000000001":  "runner-undo-shop-20260126t120000-k3f9-000000001",
		"hold.000000000001":                   "runner-hold-shop-000000000001",
		"lease.ticket.000000001.000000000002": "runner-lease-shop-ticket-000000001-000000000002",
		"log.a_b.1":                           "",
		"log.A-b.1":                           "",
		"log.a-b.1":                           "runner-undo-shop-a-b-1",
		"log.a-.1":                            "runner-undo-shop-a--1",
		"lease.ask.ABC":                       "",
		"lease.ask.abc":                       "runner-lease-shop-ask-abc",
		"blob." + strings.Repeat("0f", 32) + ".run":      "runner-blob-shop-" + strings.Repeat("0f", 32) + "-run",
		"blob." + strings.Repeat("0f", 200) + ".run":     "",
		"blob." + strings.Repeat("0f", 200) + ".another": "",
		"log.a.": "",
	} {
		got := r.object(name)
		if want != "" && got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if bad := validation.IsDNS1123Subdomain(partName(got, "mark", 12)); len(bad) > 0 {
			t.Errorf("%s: %s: %v", name, got, bad)
		}
		if other := seen[got]; other != "" {
			t.Errorf("%s and %s are both %s", name, other, got)
		}
		seen[got] = name
	}
}

func TestLabelValues(t *testing.T) {
	for _, text := range []string{"", "a", "-a", "a-", strings.Repeat("a", 70), "a b", "ä", strings.Repeat("0f", 32)} {
		if bad := validation.IsValidLabelValue(value(text)); len(bad) > 0 {
			t.Errorf("%q: %q: %v", text, value(text), bad)
		}
	}
}

func TestTermNumber(t *testing.T) {
	for name, want := range map[string]int64{termName(7): 7, "lease.term.x": 0, "lease.ticket.1": 0} {
		if n, is := termNumber(name); n != want || is != (want > 0) {
			t.Errorf("%s: %d %t", name, n, is)
		}
	}
}
