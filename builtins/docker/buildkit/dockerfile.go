package buildkit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/erlmcp/runner/runtime/host"
)

// maxDockerfile is the size of a Dockerfile that is read at most.
const maxDockerfile = 4 << 20

// dockerfile is a Dockerfile as it was when it was read.
type dockerfile struct {
	path  string
	shown string // as people find it
	text  string
}

func read(files host.FS, path, shown string) (*dockerfile, error) {
	b, err := host.ReadFile(files, path, maxDockerfile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no %s", shown)
	case err != nil:
		return nil, err
	case strings.TrimSpace(string(b)) == "":
		return nil, fmt.Errorf("%s is empty", shown)
	}
	return &dockerfile{path: path, shown: shown, text: string(b)}, nil
}

func (d *dockerfile) base() string { return filepath.Base(d.path) }

func (d *dockerfile) reader() io.ReadCloser { return io.NopCloser(strings.NewReader(d.text)) }

var (
	fromPattern  = regexp.MustCompile(`(?i)^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?`)
	usesPattern  = regexp.MustCompile(`(?i)^\s*(?:COPY|RUN)\s.*?(?:--from=|[,=]from=)([^\s,]+)`)
	argPattern   = regexp.MustCompile(`(?i)^\s*ARG\s+(.+)`)
	wordPattern  = regexp.MustCompile(`(\w+)(?:=("[^"]*"|\S*))?`)
	placePattern = regexp.MustCompile(`\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})`)
)

// base is an image that a Dockerfile builds upon or copies from.
type base struct {
	name string
	line int // of the Dockerfile, counted from 1
}

// bases are the images that the Dockerfile names, as far as can be told without building: what an image of that name is
// now decides whether the result of an earlier build still holds.
func (d *dockerfile) bases(args map[string]string) (out []base) {
	known, stages := map[string]string{}, map[string]bool{"scratch": true}
	note := func(name string, line int) {
		if name = expand(name, known); !stages[strings.ToLower(name)] && strings.Trim(name, "0123456789") != "" {
			out = append(out, base{name, line})
		}
	}
	for _, l := range d.lines() {
		if m := argPattern.FindStringSubmatch(l.text); m != nil {
			for _, w := range wordPattern.FindAllStringSubmatch(m[1], -1) {
				known[w[1]] = strings.Trim(w[2], `"`)
				if given, ok := args[w[1]]; ok {
					known[w[1]] = given
				}
			}
		}
		if m := fromPattern.FindStringSubmatch(l.text); m != nil {
			note(m[1], l.number)
			stages[strings.ToLower(m[2])] = true
		}
		if m := usesPattern.FindStringSubmatch(l.text); m != nil {
			note(m[1], l.number)
		}
	}
	return out
}

// whole is a line of a Dockerfile with those that continue it.
type whole struct {
	text   string
	number int
}

func (d *dockerfile) lines() (out []whole) {
	goesOn := false
	for i, text := range strings.Split(d.text, "\n") {
		text = strings.TrimSpace(text)
		cut, more := strings.CutSuffix(text, "\\")
		switch {
		case goesOn && strings.HasPrefix(text, "#"):
			continue
		case goesOn:
			out[len(out)-1].text += " " + cut
		default:
			out = append(out, whole{cut, i + 1})
		}
		goesOn = more
	}
	return out
}

func expand(text string, known map[string]string) string {
	return placePattern.ReplaceAllStringFunc(text, func(place string) string {
		m := placePattern.FindStringSubmatch(place)
		if v := known[m[1]+m[2]]; v != "" {
			return v
		}
		return m[3]
	})
}

// find is the line of a step that BuildKit names as it understood it; 0 where that cannot be told. What it writes in
// another way, such as a variable, is told by the words before it.
func (d *dockerfile) find(step string) int {
	want, best, at := strings.Fields(step), 1, 0
	for _, l := range d.lines() {
		got := strings.Fields(l.text)
		same := 0
		for same < min(len(got), len(want)) && strings.EqualFold(got[same], want[same]) {
			same++
		}
		if same > best {
			best, at = same, l.number
		}
	}
	return at
}
