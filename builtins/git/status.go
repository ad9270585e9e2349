package git

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Status reads what differs from the last commit.
type Status struct {
	_     op.Doc `doc:"Reads what in the repository differs from its last commit. What git is told to ignore does not count."`
	Limit int    `json:"limit" doc:"How many files are named at most."`
}

// State is how a repository's tree is.
type State struct {
	_          op.Doc `doc:"How a repository's tree is."`
	Repository bool   `json:"repository" doc:"Whether the project is in a repository; nothing else is known where not."`
	Clean      bool   `json:"clean" doc:"Whether nothing differs from the last commit."`
	Branch     string `json:"branch" doc:"The branch that is checked out, empty where none is."`
	Upstream   string `json:"upstream" doc:"The branch elsewhere that it follows, as it was seen last."`
	Ahead      int    `json:"ahead" doc:"How many commits upstream does not have."`
	Behind     int    `json:"behind" doc:"How many of its commits are missing here."`
	Changed    int    `json:"changed" doc:"How many files differ."`
	Files      []File `json:"files" doc:"The first of them."`
}

// File is a file that differs.
type File struct {
	_     op.Doc `doc:"A file that differs from the last commit."`
	Path  string `json:"path" doc:"Its path in the repository; a folder of new files ends with a slash."`
	State string `json:"state" doc:"How it differs: added, modified, deleted, renamed, copied, retyped, untracked or conflict."`
}

var (
	_ op.Op[*host.Host, State] = Status{}
	_ op.Checked               = Status{}
)

// Summary implements op.Op.
func (Status) Summary() string { return "read what differs from the last commit" }

// Check implements op.Checked.
func (s Status) Check() error {
	if s.Limit < 0 || s.Limit > 10000 {
		return fmt.Errorf("limit: want 0 to 10000, got %d", s.Limit)
	}
	return nil
}

// Do implements op.Op. Settings of a person that would hide a difference are overruled.
func (s Status) Do(ctx context.Context, h *host.Host) (State, error) {
	out, cut, err := ask(ctx, h, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal", "--ignore-submodules=none", "--find-renames")
	if errors.Is(err, errNone) {
		return State{Files: []File{}}, nil
	}
	var state State
	if err == nil && cut { // so many files that the beginning is lost, and with it the branch
		_, out, _ = strings.Cut(out, "\x00")
	}
	if err == nil {
		state, err = parseStatus(out, s.Limit)
	}
	if err != nil {
		return State{}, fmt.Errorf("cannot read the state of %s: %w", h.Project, err)
	}
	return state, nil
}

// parseStatus reads git's porcelain format, version 2, of records that end with a zero byte.
func parseStatus(answer string, limit int) (State, error) {
	s := State{Repository: true, Files: []File{}}
	for answer != "" {
		record, rest, _ := strings.Cut(answer, "\x00")
		answer = rest
		if header, ok := strings.CutPrefix(record, "# "); ok {
			s.header(header)
			continue
		}
		f, renamed, err := parseFile(record)
		if err != nil {
			return State{}, err
		}
		if renamed { // where it was
			_, answer, _ = strings.Cut(answer, "\x00")
		}
		if s.Changed++; len(s.Files) < limit {
			s.Files = append(s.Files, f)
		}
	}
	s.Clean = s.Changed == 0
	return s, nil
}

func (s *State) header(line string) {
	name, value, _ := strings.Cut(line, " ")
	switch {
	case name == "branch.head" && value != "(detached)":
		s.Branch = value
	case name == "branch.upstream":
		s.Upstream = value
	case name == "branch.ab":
		ahead, behind, _ := strings.Cut(value, " ")
		s.Ahead, _ = strconv.Atoi(strings.TrimPrefix(ahead, "+"))
		s.Behind, _ = strconv.Atoi(strings.TrimPrefix(behind, "-"))
	}
}

// parseFile reads one record: its kind, two letters of state, fields that say nothing here, and the path, which may
// hold anything.
func parseFile(record string) (f File, renamed bool, err error) {
	fields := map[byte]int{'1': 8, '2': 9, 'u': 10, '?': 1}
	wrong := fmt.Errorf("git says %q", record)
	if record == "" || fields[record[0]] == 0 {
		return File{}, false, wrong
	}
	n := fields[record[0]]
	parts := strings.SplitN(record, " ", n+1)
	if len(parts) != n+1 || parts[n] == "" {
		return File{}, false, wrong
	}
	f.Path = parts[n]
	switch record[0] {
	case '?':
		f.State = "untracked"
	case 'u':
		f.State = "conflict"
	default:
		f.State = word(parts[1])
	}
	return f, record[0] == '2', nil
}

// word names a state: of the tree where it differs from the index, else of the index.
func word(xy string) string {
	words := map[byte]string{'M': "modified", 'A': "added", 'D': "deleted", 'R': "renamed", 'C': "copied", 'T': "retyped"}
	if len(xy) != 2 {
		return "modified"
	}
	for _, letter := range []byte{xy[1], xy[0]} {
		if w := words[letter]; w != "" {
			return w
		}
	}
	return "modified"
}
