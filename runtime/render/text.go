package render

import (
	"fmt"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/erlmcp/runner/runtime/event"
)

// escapes are the sequences by which programs colour their output and move the cursor.
var escapes = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|[@-Z\\\\^_])")

// clean makes a text harmless on one line: terminal sequences are dropped, and what else is no visible character or
// could reorder the line is written as its escape.
func clean(s string) string {
	if harmless(s) {
		return s
	}
	s = escapes.ReplaceAllString(s, "")
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t' || unicode.IsGraphic(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

func harmless(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] >= utf8.RuneSelf || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// redrawn is what a terminal would show of a line that a program drew several times over itself.
func redrawn(s string) string {
	s = strings.TrimRight(s, "\r")
	return s[strings.LastIndexByte(s, '\r')+1:]
}

// lines are the lines of a text, without blank ones at its end.
func lines(text string) iter.Seq[string] {
	text = strings.TrimRight(text, "\r\n\t ")
	return func(yield func(string) bool) {
		for l := range strings.SplitSeq(text, "\n") {
			if !yield(strings.TrimRight(l, "\r")) {
				return
			}
		}
	}
}

// first is the first line of a text.
func first(text string) string {
	l, _, _ := strings.Cut(text, "\n")
	return strings.TrimRight(l, "\r")
}

// seconds is a duration as people read it: "4ms", "2.1s", "60s", "3m05s", "2h00m".
func seconds(s float64) string {
	switch n := int64(s + 0.5); {
	case s < 0.0995:
		return fmt.Sprintf("%dms", max(0, int64(s*1000+0.5)))
	case s < 9.95:
		return fmt.Sprintf("%.1fs", s)
	case n < 100:
		return fmt.Sprintf("%ds", n)
	case n < 3600:
		return fmt.Sprintf("%dm%02ds", n/60, n%60)
	default:
		return fmt.Sprintf("%dh%02dm", n/3600, n%3600/60)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// progress is such as "45 of 120 MiB" or "3 files".
func progress(f event.OpProgress) string {
	unit, size := clean(f.Unit), 1.0
	if f.Unit == "bytes" {
		unit, size = binary(max(f.Done, f.Total))
	}
	text := amount(f.Done, size)
	if f.Total > 0 {
		text += " of " + amount(f.Total, size)
	}
	return strings.TrimSuffix(text+" "+unit, " ")
}

func binary(n int64) (string, float64) {
	switch {
	case n >= 1<<30:
		return "GiB", 1 << 30
	case n >= 1<<20:
		return "MiB", 1 << 20
	case n >= 1<<10:
		return "KiB", 1 << 10
	}
	return "bytes", 1
}

func amount(n int64, size float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(float64(n)/size, 'f', 1, 64), ".0")
}

// after is a text behind a colon, nothing when there is none.
func after(text string) string { return clean(prefixed(": ", text)) }

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (p *plain) green(s string) string  { return p.paint("32", s) }
func (p *plain) yellow(s string) string { return p.paint("33", s) }
func (p *plain) red(s string) string    { return p.paint("31", s) }

func (p *plain) paint(code, s string) string {
	if !p.style.Colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
