package home

import (
	"errors"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/record"
	"github.com/erlmcp/runner/runtime/journal"
)

func TestAssemble(t *testing.T) {
	for slots, want := range map[string]string{
		"":                     "",
		"1:":                   "",
		"1:a 2:b 3: 4:c":       "abc",
		"1:a 2:b 3*abc":        "abc",
		"2:b 3*abc 4:d":        "abcd", // a base, and what its writer had no time to remove
		"3*abc":                "abc",
		"1:a 3*abc 5*abcde":    "abcde",
		"1:a 3:c":              "damaged",
		"2:b":                  "damaged",
		"3*abc 5:e":            "damaged",
		"1:a 2*a 4:x 5:y 6:z":  "damaged",
		"1:a 2*a 4:x 5*abc 6:": "abc",
	} {
		var found []record.Record
		for _, s := range strings.Fields(slots) {
			head := `{}`
			if s[1] == '*' {
				head = `{"base":true}`
			}
			found = append(found, record.Record{Name: slotName("a", int64(s[0]-'0')), Data: []byte(head + "\n" + s[2:])})
		}
		l, err := assemble(found)
		got := "damaged"
		if err == nil {
			got = string(l.lines)
		} else if !errors.Is(err, journal.ErrDamaged) {
			t.Errorf("%s: %v", slots, err)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", slots, got, want)
		}
		if n := len(found); err == nil && n > 0 && slotName("a", l.top) != found[n-1].Name {
			t.Errorf("%s: the highest is %d", slots, l.top)
		}
	}
}

func TestSlotOf(t *testing.T) {
	for name, want := range map[string]string{
		slotName("20260126t120000-k3f9", 7): "20260126t120000-k3f9", "log.a": "", "log..000000001": "", "blob.a.000000001": "", "log.a.b": "",
	} {
		if run, n, ok := slotOf(name); run != want || ok != (want != "") || ok && n != 7 {
			t.Errorf("%s: %q %d %t", name, run, n, ok)
		}
	}
}

func TestSound(t *testing.T) {
	for run, want := range map[string]bool{"20260126t120000-k3f9": true, "A_b": true, "": false, "a.b": false, "a/b": false, "ä": false} {
		if err := sound(run); (err == nil) != want {
			t.Errorf("%q: %v", run, err)
		}
	}
}
