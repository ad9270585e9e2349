package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// A stamp is what a plan knows a build by. A plan may start no program, so it cannot ask go or git what the input is; it
// compares sizes and times of everything near the source instead. Where that differs without need, the plan knows less;
// what is made is decided by the input's digest alone.
type stamp struct {
	h    *host.Host
	sum  hash.Hash
	dir  string
	skip string // the output, seen from dir
	seen int
}

// maxStamped is how many names a stamp looks at before it gives up.
const maxStamped = 50_000

var errTooMany = errors.New("there are too many files to look at")

// stampOf is the stamp of a build: its parameters, without key, the folder of its source, its output there, the version
// where one is given.
func stampOf(h *host.Host, params any, dir, output, version string) (string, error) {
	text, err := json.Marshal(params)
	if err != nil {
		return "", err
	}
	s := &stamp{h: h, sum: sha256.New(), dir: h.Abs(dir), skip: output}
	s.sum.Write(text)
	s.environment()
	if err := s.tree(""); err != nil {
		return "", err
	}
	if _, err := h.Files.Stat(filepath.Join(s.dir, "VERSION")); version == "" && err != nil {
		if err := s.git(); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(s.sum.Sum(nil)), nil
}

// environment adds what may choose another toolchain, and where the toolchains lie.
func (s *stamp) environment() {
	for _, kv := range s.h.Env {
		name, value, _ := strings.Cut(kv, "=")
		family, _, _ := strings.Cut(name, "_")
		if slices.Contains([]string{"PATH", "CC", "CGO", "ERL", "REBAR"}, family) || strings.HasPrefix(name, "GO") {
			fmt.Fprintf(s.sum, "%q\n", kv)
		}
		if name != "PATH" {
			continue
		}
		for _, dir := range filepath.SplitList(value) {
			for _, program := range []string{"go", "make", "rebar3", "erl"} {
				if info, err := s.h.Files.Stat(filepath.Join(dir, program)); err == nil {
					s.add(dir, info)
				}
			}
		}
	}
}

func (s *stamp) add(name string, info fs.FileInfo) {
	fmt.Fprintf(s.sum, "%q %d %d %d\n", name, info.Mode(), info.Size(), info.ModTime().UnixNano())
}

// tree adds everything below a folder of the source. The times of folders do not count: the output comes and goes.
func (s *stamp) tree(rel string) error {
	entries, err := s.h.Files.ReadDir(filepath.Join(s.dir, rel))
	if err != nil {
		return err
	}
	if s.seen += len(entries); s.seen > maxStamped {
		return errTooMany
	}
	for _, e := range entries {
		name := filepath.Join(rel, e.Name())
		if name == s.skip || e.Name() == ".git" || e.Name() == ".runner" {
			continue
		}
		if e.IsDir() {
			fmt.Fprintf(s.sum, "%q\n", name)
			err = s.tree(name)
		} else if info, err := s.h.Files.Lstat(filepath.Join(s.dir, name)); err == nil {
			s.add(name, info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// git adds what git describe goes by. Where the repository is elsewhere, as for a worktree, it is not known.
func (s *stamp) git() error {
	dir := s.dir
	for ; dir != "/"; dir = filepath.Dir(dir) {
		info, err := s.h.Files.Lstat(filepath.Join(dir, ".git"))
		if err == nil && !info.IsDir() {
			return op.ErrUnknown
		}
		if err == nil {
			break
		}
	}
	git := &stamp{h: s.h, sum: s.sum, dir: filepath.Join(dir, ".git")}
	for _, name := range []string{"HEAD", "packed-refs"} {
		if info, err := s.h.Files.Lstat(filepath.Join(git.dir, name)); err == nil {
			git.add(name, info)
		}
	}
	if err := git.tree("refs"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// preview finds the artifact of the build that has a stamp.
func preview(h *host.Host, stamp string, err error) (artifact.Artifact, error) {
	if err != nil {
		return artifact.Artifact{}, op.ErrUnknown
	}
	s := open(h)
	entries, _ := h.Files.ReadDir(s.dir)
	for _, e := range entries {
		b, err := host.ReadFile(h.Files, s.path(e.Name(), stamped), 1<<10)
		if err != nil || string(b) != stamp || strings.HasPrefix(e.Name(), making) {
			continue
		}
		if a, found := s.find(e.Name()); found {
			return a, nil
		}
	}
	return artifact.Artifact{}, op.ErrUnknown
}
