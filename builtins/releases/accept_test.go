package releases

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/runtime/op"
)

func TestAcceptOrders(t *testing.T) {
	s := linked(t)
	for i, id := range []string{"000001", "000002", "000001"} {
		s.activate(id, nil)
		rel, err := Accept{Root: s.root, Key: s.key()}.Do(t.Context(), s.h)
		if err != nil || rel.ID != id || !rel.Good || !rel.Live || rel.Accepted != i+1 {
			t.Errorf("%s: %+v, %v", id, rel, err)
		}
	}
	all, err := List{Root: s.root}.Do(t.Context(), s.h)
	s.must(err)
	if len(all) != 2 || all[0].Accepted != 3 || all[1].Accepted != 2 || !all[0].Live || all[1].Live {
		t.Errorf("%+v", all)
	}
}

func TestAcceptNeedsOneThatServes(t *testing.T) {
	s := newSite(t)
	_, err := Accept{Root: s.root}.Do(t.Context(), s.h)
	fails(t, err, "cannot mark what serves "+s.root+" as good: nothing serves", "")
	if inv, err := (Accept{Root: s.root}).Inverse(t.Context(), s.h); inv != nil || err != nil {
		t.Errorf("its inverse: %v, %v", inv, err)
	}
	s.must(os.MkdirAll(s.root, 0o755))
	s.must(os.Symlink("releases/000009", filepath.Join(s.root, "current")))
	_, err = Accept{Root: s.root}.Do(t.Context(), s.h)
	fails(t, err, "cannot mark what serves "+s.root+" as good: cannot read release 000009: it does not exist", "")
	if s.marks() != "" {
		t.Errorf("marked: %s", s.marks())
	}
}

// The three ways: as wanted, as the op left it, and what somebody else has made.
func TestUnaccept(t *testing.T) {
	const mine, theirs = op.Key("r/1"), op.Key("r/2")
	text := func(order int, key op.Key) string {
		b, _ := json.Marshal(layout.Mark{Order: order, Key: key})
		return string(b)
	}
	for _, c := range []struct {
		name, want, found, then string
		already                 bool
		conflict                string
	}{
		{name: "none before, mine now", found: text(1, mine)},
		{name: "none before, none now", already: true},
		{name: "none before, theirs now", found: text(1, theirs), then: text(1, theirs), conflict: text(1, theirs)},
		{name: "one before, mine now", want: text(1, "old/1"), found: text(2, mine), then: text(1, "old/1")},
		{name: "one before, the same now", want: text(1, "old/1"), found: text(1, "old/1"), then: text(1, "old/1"), already: true},
		{name: "one before, theirs now", want: text(1, "old/1"), found: text(3, theirs), then: text(3, theirs), conflict: text(3, theirs)},
		{name: "one before, none now", want: text(1, "old/1"), conflict: "absent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			path := filepath.Join(s.root, ".runner", "good", "000001")
			s.must(os.MkdirAll(filepath.Dir(path), 0o755))
			if c.found != "" {
				s.must(os.WriteFile(path, []byte(c.found), 0o644))
			}
			done, err := Unaccept{Root: s.root, ID: "000001", Want: c.want, Of: mine}.Do(t.Context(), s.h)
			var conflict *op.Conflict
			switch {
			case c.conflict != "" && (!errors.As(err, &conflict) || conflict.Found != c.conflict || conflict.What != path):
				t.Errorf("want a conflict with %s, got %v", c.conflict, err)
			case c.conflict == "" && (err != nil || done.Already != c.already):
				t.Errorf("%+v, %v", done, err)
			}
			if b, _ := os.ReadFile(path); string(b) != c.then {
				t.Errorf("it is now %s, want %s", b, c.then)
			}
		})
	}
}

func TestMarkThatCannotBeRead(t *testing.T) {
	s := marked(t)
	s.must(os.WriteFile(filepath.Join(s.root, ".runner", "good", "000001"), []byte("{"), 0o644))
	_, err := List{Root: s.root}.Do(t.Context(), s.h)
	fails(t, err, "cannot read whether release 000001 is good: ", "")
}

func TestCurrentAndList(t *testing.T) {
	s := newSite(t)
	if rel, err := (Current{Root: s.root}).Do(t.Context(), s.h); rel != nil || err != nil {
		t.Errorf("nothing: %v, %v", rel, err)
	}
	s = marked(t)
	link := filepath.Join(s.root, "current")
	for _, c := range []struct{ target, want, hint string }{
		{"releases/000002", "", ""},
		{filepath.Join(s.root, "releases/000002"), "", ""},
		{"./releases/../releases/000002/", "", ""},
		{"releases/000009", link + " names 000009, which is not there", "see the releases in"},
		{"/nowhere", link + " leads to /nowhere, which is no release of this root", "remove the link"},
		{"releases", link + " leads to releases, which is no release", "remove the link"},
	} {
		s.must(os.Remove(link))
		s.must(os.Symlink(c.target, link))
		rel, err := Current{Root: s.root}.Do(t.Context(), s.h)
		if c.want != "" {
			fails(t, err, c.want, c.hint)
			continue
		}
		if err != nil || rel.ID != "000002" || !rel.Live || rel.Good {
			t.Errorf("%s: %+v, %v", c.target, rel, err)
		}
		if all, err := (List{Root: s.root}).Do(t.Context(), s.h); err != nil || len(all) != 2 || all[0].Live || !all[0].Good || !all[1].Live {
			t.Errorf("%s: %+v, %v", c.target, all, err)
		}
	}
	s.must(os.Remove(link))
	s.must(os.Mkdir(link, 0o755))
	_, err := Current{Root: s.root}.Do(t.Context(), s.h)
	fails(t, err, "cannot read "+link+": it is no link", "move it away")
	for _, id := range []string{"", "7", "../000001", "000001/"} {
		if _, _, err := at(s.h, s.root).Read(id); err == nil || !strings.Contains(err.Error(), "want a number such as 000042") {
			t.Errorf("%q is read: %v", id, err)
		}
	}
}
