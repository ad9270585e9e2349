package machine

import (
	"cmp"
	"regexp"
	"strings"
)

var (
	dotted = regexp.MustCompile(`[0-9]{1,18}(?:\.[0-9]{1,18}){1,9}`)
	single = regexp.MustCompile(`\b[0-9]{1,18}\b`)
)

// parseVersion finds the version in what a program prints about itself: the first number with dots, or else the first
// number of the first line. "" where there is none.
func parseVersion(text string) string {
	text = text[:min(len(text), 4<<10)]
	if v := dotted.FindString(text); v != "" {
		return v
	}
	first, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return single.FindString(first)
}

// Compare orders versions, of numbers with dots, number by number; a number that is left out is 0.
func Compare(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if c := cmp.Or(len(x)-len(y), strings.Compare(x, y)); c != 0 {
			return c
		}
	}
	return 0
}
