// Package secret holds values that must never be seen: Text, which says where a secret comes from and prints as its
// name; Vault, which alone turns one into its value; and Scrubber, the second line of defence behind the type.
package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Text is a string that may be secret. It is a description, resolved by a Vault at the moment of use: it can be made
// while scripts load, be written to a log and be read back by another machine. The zero Text is the empty plain string.
type Text struct {
	plain  string
	env    string
	file   string
	format string // with parts in place of each {}
	parts  []Text
}

// Plain is a Text that is no secret, for fields that take either.
func Plain(s string) Text { return Text{plain: s} }

// Env is the secret in an environment variable of the run.
func Env(name string) Text { return Text{env: name} }

// File is the secret in a file, less one newline at its end.
func File(path string) Text { return Text{file: path} }

// Format derives a secret: each {} in the format is replaced by the next part. The numbers must agree.
func Format(format string, parts ...Text) (Text, error) {
	if n := strings.Count(format, "{}"); n != len(parts) {
		return Text{}, fmt.Errorf("the format has %d places for %d values", n, len(parts))
	}
	return Text{format: format, parts: parts}, nil
}

// IsSecret reports whether printing must hide the value.
func (t Text) IsSecret() bool { return t.env != "" || t.file != "" || t.format != "" }

// Name is what stands for the secret in every output.
func (t Text) Name() string {
	switch {
	case t.env != "":
		return t.env
	case t.file != "":
		return t.file
	case t.format != "":
		names := make([]string, len(t.parts))
		for i, p := range t.parts {
			names[i] = p.Name()
		}
		return strings.Join(names, "+")
	}
	return ""
}

// String hides the value.
func (t Text) String() string {
	if t.IsSecret() {
		return Mask(t.Name())
	}
	return t.plain
}

// GoString hides the value from %#v.
func (t Text) GoString() string { return fmt.Sprintf("%q", t.String()) }

// Format hides the value from every verb of fmt.
func (t Text) Format(f fmt.State, verb rune) {
	if verb == 'q' {
		fmt.Fprintf(f, "%q", t.String())
		return
	}
	fmt.Fprint(f, t.String())
}

// Mask is how a secret of that name is printed.
func Mask(name string) string { return "‹secret " + name + "›" }

type wire struct {
	Env    string `json:"env,omitempty"`
	File   string `json:"file,omitempty"`
	Format string `json:"format,omitempty"`
	Parts  []Text `json:"parts,omitempty"`
}

// MarshalJSON writes where the secret comes from, never its value. A plain text is a JSON string.
func (t Text) MarshalJSON() ([]byte, error) {
	if !t.IsSecret() {
		return json.Marshal(t.plain)
	}
	return json.Marshal(map[string]wire{"secret": {t.env, t.file, t.format, t.parts}})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *Text) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*t = Text{}
		return json.Unmarshal(data, &t.plain)
	}
	var w map[string]wire
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	s := w["secret"]
	*t = Text{env: s.Env, file: s.File, format: s.Format, parts: s.Parts}
	if !t.IsSecret() {
		return errors.New(`cannot read a secret: want "env", "file" or "format"`)
	}
	return nil
}

// Vault resolves secrets and tells the scrubber every value that it hands out. It is safe for concurrent use.
type Vault struct {
	Getenv   func(string) (string, bool)
	ReadFile func(string) ([]byte, error)
	Scrubber *Scrubber

	mu    sync.Mutex
	known map[string]string
}

// Reveal gives the value. Asked again it gives the same value, whatever has changed outside. The error names the
// secret and never quotes it.
func (v *Vault) Reveal(t Text) (string, error) {
	switch {
	case !t.IsSecret():
		return t.plain, nil
	case t.format != "":
		return v.derive(t)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	key := t.env + "\x00" + t.file
	if s, ok := v.known[key]; ok {
		return s, nil
	}
	s, err := v.fetch(t)
	if err != nil {
		return "", err
	}
	if v.known == nil {
		v.known = map[string]string{}
	}
	v.known[key] = s
	v.Scrubber.Add(t.Name(), s)
	return s, nil
}

func (v *Vault) derive(t Text) (string, error) {
	var b strings.Builder
	for i, piece := range strings.Split(t.format, "{}") {
		if i > 0 {
			s, err := v.Reveal(t.parts[i-1])
			if err != nil {
				return "", err
			}
			b.WriteString(s)
		}
		b.WriteString(piece)
	}
	return b.String(), nil
}

func (v *Vault) fetch(t Text) (string, error) {
	if t.env != "" {
		s, ok := v.Getenv(t.env)
		if !ok || s == "" {
			return "", fmt.Errorf("cannot read the secret %s: the environment variable is not set", t.env)
		}
		return s, nil
	}
	b, err := v.ReadFile(t.file)
	if err != nil {
		return "", fmt.Errorf("cannot read the secret %s: %w", t.file, err)
	}
	s := strings.TrimSuffix(string(b), "\n")
	if s == "" {
		return "", fmt.Errorf("cannot read the secret %s: the file is empty", t.file)
	}
	return s, nil
}
