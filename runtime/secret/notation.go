package secret

import (
	"html"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// ellipsis stands where somebody has cut a text off.
const ellipsis = "…"

// replacement is what is left of a character that was cut through.
const replacement = "\uFFFD"

// minCut is how much of a value's beginning or end, in characters, is taken for it beside an ellipsis.
const minCut = 4

// replaced is the text with the value replaced in every notation: as it is, escaped as in JSON, in Go, in a URL or in HTML,
// JSON inside JSON, its white space folded; and what an ellipsis has left of it. The value is folded.
func replaced(text, value, mask string) string {
	var b strings.Builder
	cut := strings.Contains(text, ellipsis)
	done := 0
	for i := 0; i < len(text); {
		if c := text[i]; c != value[0] && c != '\\' && c != '%' && c != '&' {
			i++
			continue
		}
		chars, end := follow(text, i, value)
		if whole := chars < 0; whole || cut && chars >= minCut && cutAt(text, end) {
			b.WriteString(text[done:i] + mask)
			i, done = end, end
			continue
		}
		i++
	}
	if text = b.String() + text[done:]; cut {
		text = beheaded(text, value, mask)
	}
	return text
}

// beheaded replaces the end of the value behind an ellipsis.
func beheaded(text, value, mask string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, ellipsis)
		if b.WriteString(before); !found {
			return b.String()
		}
		b.WriteString(ellipsis)
		text = strings.TrimPrefix(rest, replacement)
		for k := range value {
			if k == 0 || utf8.RuneCountInString(value[k:]) < minCut {
				continue
			}
			if chars, end := follow(text, 0, value[k:]); chars < 0 {
				b.WriteString(mask)
				text = text[end:]
				break
			}
		}
	}
}

// cutAt reports whether the text is cut off there, or inside the escape that begins there.
func cutAt(text string, at int) bool {
	if rest := text[at:]; rest != "" && strings.IndexByte(`\%&`, rest[0]) >= 0 {
		n := strings.Index(rest, ellipsis)
		return n >= 0 && n < len("&quot;") && !strings.ContainsAny(rest[:n], " \t\r\n")
	}
	return strings.HasPrefix(strings.TrimPrefix(text[at:], replacement), ellipsis)
}

// follow reads the value from a place of the text on, in whatever notation. It gives how many characters of the value are
// there, -1 for all, and where they end.
func follow(text string, at int, value string) (chars, end int) {
	for value != "" {
		r, size := utf8.DecodeRuneInString(value)
		n := escaped(text[at:], r, value[:size])
		if n == 0 {
			return chars, at
		}
		at, value, chars = at+n, value[size:], chars+1
	}
	return -1, at
}

// escaped is how many bytes a character takes at the beginning of the text, 0 where another one stands there.
func escaped(text string, r rune, raw string) int {
	if r == ' ' {
		return space(text)
	}
	slashes := len(text) - len(strings.TrimLeft(text, `\`))
	if r == '\\' && slashes > 0 {
		return slashes
	}
	rest := text[slashes:]
	n := max(entity(rest, raw), percent(rest, raw)) // first: a & is the beginning of &amp; too
	if n == 0 && slashes > 0 {
		n = numbered(rest, r)
	}
	if n == 0 && strings.HasPrefix(rest, raw) && (slashes == 0 || !unicode.IsLetter(r) && !unicode.IsDigit(r)) {
		n = len(raw)
	}
	if n == 0 {
		return 0
	}
	return slashes + n
}

// space is any white space, in any notation.
func space(text string) int {
	n := 0
	for n < len(text) {
		rest := strings.TrimLeft(text[n:], `\`)
		slashes := len(text) - n - len(rest)
		switch {
		case rest == "":
			return n
		case slashes == 0 && strings.IndexByte(" \t\r\n+", rest[0]) >= 0, slashes > 0 && strings.IndexByte("nrt", rest[0]) >= 0:
			n += slashes + 1
		case slashes == 0 && max(percent(rest, " "), percent(rest, "\n"), percent(rest, "\r"), percent(rest, "\t")) > 0:
			n += len("%20")
		case slashes == 0 && max(entity(rest, "\n"), entity(rest, "\r"), entity(rest, "\t")) > 0:
			n += strings.IndexByte(rest, ';') + 1
		default:
			return n
		}
	}
	return n
}

// numbered is a character by its number behind a backslash: u00e9, xe9, or a pair of halves.
func numbered(text string, r rune) int {
	if text == "" || text[0] != 'u' && text[0] != 'x' {
		return 0
	}
	digits := 4
	if text[0] == 'x' {
		digits = 2
	}
	code := func(text string) rune {
		if len(text) < 1+digits {
			return -1
		}
		n, err := strconv.ParseUint(text[1:1+digits], 16, 32)
		if err != nil {
			return -1
		}
		return rune(n)
	}
	first := code(text)
	if first == r {
		return 1 + digits
	}
	if !utf16.IsSurrogate(first) {
		return 0
	}
	second := strings.TrimLeft(text[1+digits:], `\`)
	if strings.HasPrefix(second, "u") && utf16.DecodeRune(first, code(second)) == r {
		return len(text) - len(second) + 1 + digits
	}
	return 0
}

// percent is the bytes of a character as in a URL.
func percent(text, raw string) int {
	if len(text) < 3*len(raw) {
		return 0
	}
	for i := range len(raw) {
		n, err := strconv.ParseUint(text[3*i+1:3*i+3], 16, 8)
		if text[3*i] != '%' || err != nil || byte(n) != raw[i] {
			return 0
		}
	}
	return 3 * len(raw)
}

// entity is a character as in HTML.
func entity(text, raw string) int {
	if !strings.HasPrefix(text, "&") {
		return 0
	}
	end := strings.IndexByte(text[:min(len(text), 10)], ';') + 1
	if end > 0 && html.UnescapeString(text[:end]) == raw {
		return end
	}
	return 0
}

// folded is the value with its white space, and its backslashes, as single ones: they are met in any number.
func folded(value string) string {
	value = strings.Join(strings.Fields(value), " ")
	for strings.Contains(value, `\\`) {
		value = strings.ReplaceAll(value, `\\`, `\`)
	}
	return value
}

// anchor is the longest part of the value that stands in every notation as it is.
func anchor(value string) string {
	longest := ""
	for _, part := range strings.FieldsFunc(value, func(r rune) bool {
		return r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return longest
}
