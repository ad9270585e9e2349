package manifest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is found into testdata")

// marked is where a file says what is wrong with a line: "#! COLUMN TEXT", several behind one another.
var marked = regexp.MustCompile(` *#! .*$`)

// Every mistake that a file makes is named at its place, and every place that is named is a mistake: what stands behind
// "#!" on a line is all that is said about it.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.*")
	if err != nil {
		t.Fatal(err)
	}
	told, hinted := 0, 0
	for _, file := range files {
		t.Run(strings.TrimPrefix(file, "testdata/"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var bare, want []string
			for _, line := range strings.Split(string(data), "\n") {
				bare = append(bare, marked.ReplaceAllString(line, ""))
			}
			found := find(t, file, strings.Join(bare, "\n"))
			for _, ms := range found {
				told += len(ms)
				for _, m := range ms {
					if m.Hint != "" {
						hinted++
					}
				}
			}
			for i, line := range bare {
				if ms := found[i+1]; len(ms) > 0 {
					line += " #!"
					for _, m := range ms {
						line += " " + fmt.Sprint(m.Column) + " " + Mistake{Text: m.Text, Hint: m.Hint}.line() + " //"
					}
					line = strings.TrimSuffix(line, " //")
				}
				want = append(want, line)
			}
			if got := strings.Join(want, "\n"); got != string(data) {
				if *update {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
					return
				}
				t.Errorf("found:\n%s", differing(string(data), got))
			}
		})
	}
	if told < 40 || hinted < 20 {
		t.Errorf("%d mistakes, %d with a hint", told, hinted)
	}
	t.Logf("%d mistakes, %d with a hint", told, hinted)
}

// find loads one file and gives what is said about it by line: mistakes, or, of a file of warnings, those.
func find(t *testing.T, file, text string) map[int][]Mistake {
	out := map[int][]Mistake{}
	name := "k8s/" + filepath.Base(file)
	c := shop()
	l := &loading{h: hostAt(write(t, map[string]string{name: text})), c: c, kinds: newKinds()}
	l.entry("k8s")
	l.decide(Overrides{})
	all := l.mistakes
	if strings.HasPrefix(file, "testdata/warnings") {
		if len(all) > 0 {
			t.Fatal(l.invalid())
		}
		all = l.warnings
	}
	l.order(all)
	for _, m := range slices.Compact(all) {
		if m.File != name || m.Line == 0 {
			t.Errorf("it has no place: %v", m)
		}
		if strings.Contains(m.line(), "hunter2") {
			t.Errorf("it tells a secret: %v", m)
		}
		out[m.Line] = append(out[m.Line], m)
	}
	return out
}

func differing(want, got string) string {
	var b strings.Builder
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			fmt.Fprintf(&b, "%d want %s\n   got  %s\n", i+1, w[i], g[i])
		}
	}
	return b.String()
}
