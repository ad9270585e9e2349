// Package secret holds values that must never be seen: Text, which says where a secret comes from and prints as its
// name; Vault, which alone turns one into its value; and Scrubber, the second line of defence behind the type.
package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Text is a string that may be secret. It is a description, resolved by a Vault at the moment of use: it can be made
// while scripts load, be written to a log and be read back by another machine. The zero Text is the empty plain string.
type Text struct {
	plain   string
	env     string
	file    string
	command []string
	format  string // with parts in place of each {}
	parts   []Text
}

// Plain is a Text that is no secret, for fields that take either.
func Plain(s string) Text { return Text{plain: s} }

// Env is the secret in an environment variable of the run.
func Env(name string) Text { return Text{env: name} }

// File is the secret in a file, less one newline at its end.
func File(path string) Text { return Text{file: path} }

// Command is the secret that a program prints, less one newline at its end.
func Command(argv ...string) Text { return Text{command: argv} }

// Format derives a secret: each {} in the format is replaced by the next part. The numbers must agree.
func Format(format string, parts ...Text) (Text, error) {
	if n := strings.Count(format, "{}"); n != len(parts) {
		return Text{}, fmt.Errorf("the format has %d places for %d values", n, len(parts))
	}
	return Text{format: format, parts: parts}, nil
}

// IsSecret reports whether printing must hide the value.
func (t Text) IsSecret() bool {
	return t.env != "" || t.file != "" || len(t.command) > 0 || t.format != ""
}

// Sources are the secrets that it is made of: itself, unless it is derived; none of a plain text.
func (t Text) Sources() []Text {
	switch {
	case !t.IsSecret():
		return nil
	case t.format == "":
		return []Text{t}
	}
	var out []Text
	for _, p := range t.parts {
		out = append(out, p.Sources()...)
	}
	return out
}

// Name is what stands for the secret in every output.
func (t Text) Name() string {
	switch {
	case t.env != "":
		return t.env
	case t.file != "":
		return t.file
	case len(t.command) > 0:
		return line(t.command)
	case t.format != "":
		names := make([]string, len(t.parts))
		for i, p := range t.parts {
			names[i] = p.Name()
		}
		return strings.Join(names, "+")
	}
	return ""
}

// line is a command in at most 60 characters, fit to print.
func line(argv []string) string {
	text := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, strings.Join(argv, " ")))
	if len(text) > 60 {
		text = append(text[:59], '…')
	}
	return string(text)
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
	Env     string   `json:"env,omitempty"`
	File    string   `json:"file,omitempty"`
	Command []string `json:"command,omitempty"`
	Format  string   `json:"format,omitempty"`
	Parts   []Text   `json:"parts,omitempty"`
}

// MarshalJSON writes where the secret comes from, never its value. A plain text is a JSON string.
func (t Text) MarshalJSON() ([]byte, error) {
	if !t.IsSecret() {
		return json.Marshal(t.plain)
	}
	return json.Marshal(map[string]wire{"secret": {t.env, t.file, t.command, t.format, t.parts}})
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
	*t = Text{env: s.Env, file: s.File, command: s.Command, format: s.Format, parts: s.Parts}
	if !t.IsSecret() {
		return errors.New(`cannot read a secret: want "env", "file", "command" or "format"`)
	}
	return nil
}
