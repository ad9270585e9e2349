package secret

import (
	"encoding/base64"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
)

// MinScrubbed is the shortest value, in bytes, that a Scrubber replaces: shorter ones stand in too many innocent words.
const MinScrubbed = 8

// Scrubber replaces known secret values in text: as they are and in the notations in which programs repeat them, each long
// line of them, their base64, the parts of a URL, and what is left of one beside an ellipsis, where a text was cut off. It
// is safe for concurrent use; a nil Scrubber replaces nothing.
type Scrubber struct {
	mu    sync.RWMutex
	pairs []pair // longest value first, so that a secret that contains another goes whole
}

type pair struct {
	value, mask string
	folded      string // "" where too little is left of it
	anchor      string
}

// Add makes every form of the value print as the secret's name. Values under MinScrubbed bytes are left alone.
func (s *Scrubber) Add(name, value string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, form := range forms(value) {
		p := pair{value: form, mask: Mask(name), folded: folded(form), anchor: anchor(form)}
		if len(p.folded) < MinScrubbed {
			p.folded = ""
		}
		if len(form) >= MinScrubbed && !slices.ContainsFunc(s.pairs, func(q pair) bool { return q.value == form }) {
			s.pairs = append(s.pairs, p)
		}
	}
	slices.SortStableFunc(s.pairs, func(a, b pair) int { return len(b.value) - len(a.value) })
}

// String is the text with every known value replaced by its mask.
func (s *Scrubber) String(text string) string {
	if s == nil {
		return text
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	cut := strings.Contains(text, ellipsis)
	for _, p := range s.pairs {
		if !cut && !strings.Contains(text, p.anchor) {
			continue
		}
		text = strings.ReplaceAll(text, p.value, p.mask)
		if p.folded != "" {
			text = replaced(text, p.folded, p.mask)
		}
	}
	return text
}

// Piece is String of a text that somebody has cut off at its beginning or end: what is left of a value there goes as well.
func (s *Scrubber) Piece(text string) string {
	text = ellipsis + strings.ToValidUTF8(text, replacement) + ellipsis
	return strings.TrimSuffix(strings.TrimPrefix(s.String(text), ellipsis), ellipsis)
}

// JSON is the document with every known value replaced, inside its strings and nowhere else.
func (s *Scrubber) JSON(doc []byte) []byte { return []byte(s.String(string(doc))) }

func forms(value string) []string {
	whole := value
	lines := []string{whole}
	if strings.ContainsAny(value, "\n\r") {
		lines = append(lines, strings.FieldsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' })...)
	}
	var out []string
	for _, v := range append(lines, parts(whole)...) {
		out = append(out, v)
		if len(v) >= MinScrubbed {
			out = append(out, base64Forms(v)...)
		}
	}
	return out
}

// minSegment is from where on the last segment of a URL's path is taken for what makes it a secret.
const minSegment = 16

// parts are what of a URL makes it a secret. Redirects and errors repeat them without the rest.
func parts(value string) []string {
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return nil
	}
	out := []string{strings.TrimPrefix(u.Path, "/")}
	if last := path.Base(u.Path); len(last) >= minSegment {
		out = append(out, last)
	}
	if password, ok := u.User.Password(); ok {
		out = append(out, password)
	}
	for _, values := range u.Query() {
		out = append(out, values...)
	}
	return out
}

// base64Forms gives what of the value shows in the base64 of any text around it: its characters depend on the
// offset modulo 3, and those at either edge on the neighbours as well, so the edges are cut off.
func base64Forms(v string) []string {
	var out []string
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			text := enc.EncodeToString([]byte(strings.Repeat("\x00", shift) + v))
			from := (shift*8 + 5) / 6
			to := (shift + len(v)) * 8 / 6
			out = append(out, text[from:to])
		}
	}
	return append(out, wrapped(v)...)
}

// wrapped gives the lines into which base64 and openssl break what is long.
func wrapped(v string) []string {
	var out []string
	text := base64.StdEncoding.EncodeToString([]byte(v))
	for _, width := range []int{76, 64} {
		for line := range slices.Chunk([]byte(text), width) {
			if len(text) > width && len(line) >= MinScrubbed {
				out = append(out, string(line))
			}
		}
	}
	return out
}
