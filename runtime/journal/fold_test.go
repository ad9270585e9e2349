package journal_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/event"
	"github.com/erlmcp/runner/runtime/journal"
)

func change(op string, order int64) event.Fact {
	return event.OpStarted{Op: op, Name: "releases.activate", Class: "change", Order: order, Inverse: json.RawMessage(`{}`)}
}

func ended(op string) event.Fact { return event.OpFinished{Op: op, Name: "releases.activate"} }

func took(op string, order int64, how event.Outcome) event.Fact {
	return event.OpUndone{Op: op, Order: order, Outcome: how}
}

func check(op string, order int64) event.Fact {
	return event.CheckAsked{Op: op, Name: "health.wait", Order: order, Params: json.RawMessage(`{"op":"health.wait"}`)}
}

// fold reads facts as the log of run a, a second each.
func fold(facts ...event.Fact) journal.State {
	var records []event.Record
	for i, f := range facts {
		records = append(records, event.Record{Seq: int64(i + 1), Time: moment.Add(time.Duration(i) * time.Second), Run: "a", Fact: f})
	}
	return journal.Fold(records)
}

// open writes what is open as "op", "op?" in doubt, "op!" with an inverse that failed, "check op".
func open(s journal.State) string {
	var out []string
	for _, c := range s.Open() {
		word := c.Op
		if c.Check {
			word = "check " + word
		} else if !c.Done {
			word += "?"
		}
		if c.Undone != nil {
			word += "!"
		}
		out = append(out, word)
	}
	return strings.Join(out, ", ")
}

func TestOpen(t *testing.T) {
	for _, c := range []struct {
		name  string
		facts []event.Fact
		want  string
	}{
		{"nothing", nil, ""},
		{"reads and makes", []event.Fact{event.OpStarted{Op: "1", Class: "read"}, event.OpStarted{Op: "2", Class: "make", Order: 1}}, ""},
		{"newest first", []event.Fact{change("1", 1), ended("1"), change("2", 2), ended("2")}, "2, 1"},
		{"a final as well", []event.Fact{change("1", 1), ended("1"), event.OpStarted{Op: "2", Class: "final", Order: 2, NoInverse: "why"}, ended("2")}, "2, 1"},
		{"in doubt", []event.Fact{change("1", 1), ended("1"), change("2", 2)}, "2?, 1"},
		{"failed is done", []event.Fact{change("1", 1), event.OpFinished{Op: "1", Error: "it failed"}}, "1"},
		{"by order, not by place", []event.Fact{change("7/web/1", 2), change("7/db/1", 1), ended("7/db/1")}, "7/web/1?, 7/db/1"},
		{"committed covers", []event.Fact{change("1", 1), ended("1"), event.Committed{Order: 1}, change("2", 2)}, "2?"},
		{"committed covers all", []event.Fact{change("1", 1), ended("1"), event.Committed{Order: 9}}, ""},
		{"committed twice", []event.Fact{change("1", 1), event.Committed{Order: 1}, change("2", 2), event.Committed{Order: 2}, change("3", 3)}, "3?"},
		{"a commit before any change", []event.Fact{event.Committed{}, change("1", 1)}, "1?"},
		{"put back", []event.Fact{change("1", 1), change("2", 2), ended("2"), took("2", 2, event.Restored)}, "1?"},
		{"already", []event.Fact{change("1", 1), took("1", 1, event.Already)}, ""},
		{"a conflict is settled", []event.Fact{change("1", 1), took("1", 1, event.Conflict)}, ""},
		{"a final is settled", []event.Fact{change("1", 1), took("1", 1, event.Final)}, ""},
		{"an inverse that failed", []event.Fact{change("1", 1), ended("1"), change("2", 2), ended("2"), took("2", 2, event.Failed)}, "2!, 1"},
		{"failed, then put back", []event.Fact{change("1", 1), took("1", 1, event.Failed), took("1", 1, event.Restored)}, ""},
		{"checks stand in their order", []event.Fact{check("1", 1), change("2", 2), ended("2"), check("3", 3)}, "check 3, 2, check 1"},
		{"a check passed", []event.Fact{check("1", 1), change("2", 2), ended("2"), took("1", 1, event.Passed)}, "2"},
		{"a check broken", []event.Fact{check("1", 1), took("1", 1, event.Broken)}, ""},
		{"a check that could not be made", []event.Fact{check("1", 1), change("2", 2), ended("2"), took("1", 1, event.Failed)}, "2, check 1!"},
		{"a check without a change", []event.Fact{check("1", 1)}, ""},
		{"a check is covered", []event.Fact{check("1", 1), change("2", 2), event.Committed{Order: 2}}, ""},
		{"a check does not end with its op", []event.Fact{change("1", 1), check("1", 2), ended("1")}, "check 1, 1"},
		{"the end of another op", []event.Fact{change("1", 1), ended("2")}, "1?"},
		{"the undoing of another op", []event.Fact{change("1", 1), ended("1"), took("1", 2, event.Restored)}, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fold(c.facts...)
			for range 2 { // asking changes nothing
				if got := open(s); got != c.want {
					t.Errorf("open: %s; want %s", got, c.want)
				}
			}
		})
	}
}

func TestUnfinished(t *testing.T) {
	begun := event.RunStarted{Command: "run", Script: "deploy.star"}
	recovered := func(dead string, complete bool) event.Fact {
		return event.RecoveryFinished{Dead: dead, Complete: complete}
	}
	for _, c := range []struct {
		name  string
		facts []event.Fact
		want  bool
	}{
		{"an empty log", nil, false},
		{"a lease without a start", []event.Fact{event.LeaseTaken{}}, false},
		{"started", []event.Fact{begun}, true},
		{"committed", []event.Fact{begun, change("1", 1), event.Committed{Order: 1}}, true},
		{"finished", []event.Fact{begun, change("1", 1), event.RunFinished{}}, false},
		{"recovered", []event.Fact{begun, change("1", 1), recovered("a", true)}, false},
		{"recovered in part", []event.Fact{begun, recovered("a", false)}, true},
		{"recovered in part, then whole", []event.Fact{begun, recovered("a", false), recovered("a", true)}, false},
		{"recovered, then in part", []event.Fact{begun, recovered("a", true), recovered("a", false)}, false},
		{"finished, then undone in part by hand", []event.Fact{begun, change("1", 1), event.RunFinished{}, event.RecoveryStarted{Dead: "a"}, recovered("a", false)}, true},
		{"finished, then undone by hand", []event.Fact{begun, change("1", 1), event.RunFinished{}, event.RecoveryStarted{Dead: "a"}, recovered("a", true)}, false},
		{"it recovered another", []event.Fact{begun, recovered("b", true)}, true},
		{"a recovery that was killed", []event.Fact{begun, event.RecoveryStarted{Dead: "a"}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if s := fold(c.facts...); s.Unfinished() != c.want {
				t.Errorf("unfinished: %v", s.Unfinished())
			}
		})
	}
}

func TestFoldKeepsWhatRecoveryNeeds(t *testing.T) {
	begun := event.RunStarted{Script: "deploy.star", User: "ada"}
	child := event.ChildStarted{Op: "1", PID: 7, Start: 9, Boot: "b", Name: "sleep"}
	s := fold(event.Noted{}, begun, event.LeaseTaken{Target: "host:/opt/x", Turn: 4}, child, check("2", 1),
		event.Unrecognised{Name: "newer"}, event.RunFinished{Exit: 10})
	if s.Run != "a" || !s.Since.Equal(moment.Add(time.Second)) || !reflect.DeepEqual(s.Started, &begun) {
		t.Errorf("run %q since %s: %+v", s.Run, s.Since, s.Started)
	}
	if s.Target != "host:/opt/x" || s.Turn != 4 {
		t.Errorf("target %q, turn %d", s.Target, s.Turn)
	}
	if len(s.Children) != 1 || s.Children[0] != child {
		t.Errorf("children %+v", s.Children)
	}
	if c := s.Changes[0]; !c.Check || c.Name != "health.wait" || string(c.Params) != `{"op":"health.wait"}` || c.Order != 1 {
		t.Errorf("check %+v", c)
	}
	if s.Finished == nil || s.Finished.Exit != 10 {
		t.Errorf("finished %+v", s.Finished)
	}
}

// An undo log that is read again at any point of its life tells the same as the run that writes it knows.
func TestFoldIsWhatWasAdded(t *testing.T) {
	root := t.TempDir()
	l := take(t, home(root), "a")
	log, err := l.Open(t.Context(), "a")
	must(t, err)
	defer log.Close()
	var live journal.State
	for i, f := range []event.Fact{event.RunStarted{Script: "x"}, event.LeaseTaken{Target: "t", Turn: 1}, check("1", 1), change("2", 2),
		ended("2"), change("3", 3), took("3", 3, event.Failed), event.Committed{Order: 2}, event.RunFinished{}} {
		r := event.Record{Seq: int64(i + 1), Time: moment, Run: "a", Fact: f}
		live.Add(r)
		must(t, log.Append(t.Context(), r, false))
		if got := journal.Fold(records(t, home(root))); fmt.Sprintf("%s %+v", open(got), got.Finished) != fmt.Sprintf("%s %+v", open(live), live.Finished) ||
			!reflect.DeepEqual(got.Changes, live.Changes) {
			t.Fatalf("after %s: read %+v, live %+v", f.Kind(), got, live)
		}
	}
}
