package script

import (
	"bytes"
	"strings"
)

// openAt is the innermost bracket that stands open before a line, and whether it is closed later in the file.
func openAt(src string, line int) (at place, bracket string, closed, ok bool) {
	type opened struct {
		at      place
		bracket byte
	}
	var open []opened
	depth := -1 // how many were open before the line
	n := 0
	for text := range brackets(src) {
		n++
		if n == line {
			depth = len(open)
			if depth == 0 {
				return place{}, "", false, false
			}
			at, bracket = open[depth-1].at, string(open[depth-1].bracket)
		}
		for col := range len(text) {
			switch text[col] {
			case '(', '[', '{':
				open = append(open, opened{place{"", n, col + 1}, text[col]})
			case ')', ']', '}':
				if len(open) > 0 {
					open = open[:len(open)-1]
				}
			}
		}
		if depth > 0 && len(open) < depth {
			return at, bracket, true, true
		}
	}
	return at, bracket, false, depth > 0
}

// brackets gives a file's lines without what stands in texts and comments.
func brackets(src string) func(func(string) bool) {
	return func(yield func(string) bool) {
		triple := ""
		for line := range strings.SplitSeq(src, "\n") {
			plain := []byte(line)
			triple = blank(plain, triple)
			if !yield(string(plain)) {
				return
			}
		}
	}
}

// blank overwrites what stands in texts and comments, which may begin and end inside a text of several lines; its
// quotes are given and returned.
func blank(line []byte, triple string) string {
	for i := 0; i < len(line); i++ {
		rest := line[i:]
		switch {
		case triple != "" && bytes.HasPrefix(rest, []byte(triple)):
			fill(rest[:3], '.')
			i, triple = i+2, ""
		case triple != "":
			line[i] = '.'
		case bytes.HasPrefix(rest, []byte(`"""`)), bytes.HasPrefix(rest, []byte("'''")):
			triple = string(rest[:3])
			fill(rest[:3], '.')
			i += 2
		case line[i] == '#':
			fill(rest, ' ')
			return ""
		case line[i] == '"' || line[i] == '\'':
			i = skipText(line, i)
		}
	}
	return triple
}

// skipText blanks a text on one line and gives where it ends. Its quotes stay.
func skipText(line []byte, start int) int {
	for i := start + 1; i < len(line); i++ {
		switch line[i] {
		case line[start]:
			return i
		case '\\':
			line[i] = '.'
			if i+1 < len(line) {
				i++
			}
		}
		line[i] = '.'
	}
	return len(line)
}

func fill(b []byte, c byte) {
	for i := range b {
		b[i] = c
	}
}
