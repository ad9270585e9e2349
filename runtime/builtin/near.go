package builtin

import (
	"slices"
	"strings"
	"unicode"
)

// Nearest is the candidate that a misspelt name most likely means, "" where none is near. Case and separators count
// for nothing; two neighbours swapped count as one mistake.
func Nearest(name string, candidates []string) string {
	best, least := "", 0
	x := folded(name)
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if c == name {
			continue
		}
		y := folded(c)
		d := distance(x, y)
		if d <= (max(len(x), len(y))+1)/3 && (best == "" || d < least) {
			best, least = c, d
		}
	}
	return best
}

// DidYouMean is " (did you mean X?)" for a misspelt name, "" where no candidate is near.
func DidYouMean(name string, candidates []string) string {
	if n := Nearest(name, candidates); n != "" {
		return " (did you mean " + n + "?)"
	}
	return ""
}

// maxFolded bounds the work on a name that is no name.
const maxFolded = 64

func folded(name string) []rune {
	var out []rune
	for _, r := range strings.ToLower(name) {
		if (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '.' || r == '/') && len(out) < maxFolded {
			out = append(out, r)
		}
	}
	return out
}

// distance counts the letters to insert, delete, replace or swap with a neighbour.
func distance(x, y []rune) int {
	before, last := make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := range x {
		row := make([]int, len(y)+1)
		row[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(y)]
}

// either joins names for a sentence: "a, b or c".
func either(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// and joins names for a sentence: "a, b and c".
func and(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
