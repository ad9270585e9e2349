package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

const (
	folder = ".runner/builds" // in the project; a folder for each input digest
	record = "artifact.json"  // in that folder: what is beside it
	used   = "used"           // in that folder: a number, higher for each later use
	lock   = "lock"           // in a folder that is being made: held by its maker
	making = ".new-"          // begins the name of a folder that is being made
	kept   = 10               // builds are kept, the last used ones
)

// store is the folder of builds.
type store struct {
	h   *host.Host
	dir string
}

func open(h *host.Host) store { return store{h, h.Abs(folder)} }

func (s store) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// find gives the artifact of an input, unless it was never made, or is no longer what was made.
func (s store) find(input string) (artifact.Artifact, bool) {
	var a artifact.Artifact
	b, err := host.ReadFile(s.h.Files, s.path(input, record), 64<<10)
	if err != nil || json.Unmarshal(b, &a) != nil || checkName("", a.Name) != nil {
		return a, false
	}
	a.Path = s.path(input, a.Name)
	digest, size, err := artifact.Digest(s.h.Files, a.Path)
	return a, err == nil && digest == a.Digest && size == int64(a.Size)
}

// make has fill put the artifact, under its name, into a new folder, and keeps that under the input's digest as one
// step. What a maker that was killed leaves is in a folder of another name, and goes with the next build.
func (s store) make(ctx context.Context, input string, key op.Key, a artifact.Artifact, fill func(dir string) error) (artifact.Artifact, error) {
	dir := s.path(making + strings.ReplaceAll(string(key), "/", "-"))
	l, err := s.begin(dir)
	if err != nil {
		return a, fmt.Errorf("cannot make a folder for the build: %w", artifact.Plainly(err))
	}
	defer l.Close()
	if err := fill(dir); err != nil {
		return a, err
	}
	digest, size, err := artifact.Digest(s.h.Files, filepath.Join(dir, a.Name))
	if err != nil {
		return a, fmt.Errorf("cannot digest %s: %w", a.Name, artifact.Plainly(err))
	}
	a.Digest, a.Size, a.Path = digest, op.Size(size), s.path(input, a.Name)
	if err := op.Half(ctx, "built"); err != nil {
		return a, err
	}
	if err := s.keep(dir, input, a); err != nil {
		return a, fmt.Errorf("cannot keep the build: %w", artifact.Plainly(err))
	}
	return a, nil
}

// begin makes the folder that a build is made in, and holds its lock: who finds the lock free finds a dead build.
func (s store) begin(dir string) (host.File, error) {
	if err := host.MkdirAll(s.h.Files, s.dir, 0o755); err != nil {
		return nil, err
	}
	if err := host.WriteFile(s.h.Files, s.path(".gitignore"), []byte("*\n"), 0o644); err != nil {
		return nil, err
	}
	if err := host.RemoveAll(s.h.Files, dir); err != nil {
		return nil, err
	}
	if err := s.h.Files.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := s.h.Files.Open(filepath.Join(dir, lock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := host.TryLock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (s store) keep(dir, input string, a artifact.Artifact) error {
	b, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	if err := host.WriteFile(s.h.Files, filepath.Join(dir, record), append(b, '\n'), 0o644); err != nil {
		return err
	}
	if err := s.h.Files.Remove(filepath.Join(dir, lock)); err != nil {
		return err
	}
	if err := host.RemoveAll(s.h.Files, s.path(input)); err != nil { // find has seen that it is not whole
		return err
	}
	if err := s.h.Files.Rename(dir, s.path(input)); err != nil {
		if _, found := s.find(input); !found { // another run was faster
			return err
		}
		return host.RemoveAll(s.h.Files, dir)
	}
	return s.h.Files.SyncDir(s.dir)
}

// use marks a build as the last used one, and removes those that were used longest ago and what dead builds left.
func (s store) use(input string) error {
	entries, err := s.h.Files.ReadDir(s.dir)
	if err != nil {
		return err
	}
	last := map[string]int{}
	for _, e := range entries {
		switch {
		case strings.HasPrefix(e.Name(), making):
			err = errors.Join(err, s.sweep(e.Name()))
		case e.IsDir():
			last[e.Name()] = s.lastUse(e.Name())
		}
	}
	newest := 0
	for _, n := range last {
		newest = max(newest, n)
	}
	last[input] = newest + 1
	err = errors.Join(err, host.WriteFile(s.h.Files, s.path(input, used), []byte(strconv.Itoa(newest+1)+"\n"), 0o644))
	return errors.Join(err, s.prune(last))
}

func (s store) prune(last map[string]int) error {
	var names []string
	for name := range last {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return last[b] - last[a] })
	var err error
	for _, name := range names[min(kept, len(names)):] {
		err = errors.Join(err, host.RemoveAll(s.h.Files, s.path(name)))
	}
	return err
}

func (s store) lastUse(name string) int {
	b, err := host.ReadFile(s.h.Files, s.path(name, used), 32)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}

// sweep removes what a dead build left.
func (s store) sweep(name string) error {
	f, err := s.h.Files.Open(s.path(name, lock), os.O_RDWR, 0)
	if err != nil { // its maker is between two steps, or died there; the next attempt of its key removes it
		return nil
	}
	defer f.Close()
	if free, err := host.TryLock(f); err != nil || !free {
		return err
	}
	return host.RemoveAll(s.h.Files, s.path(name))
}
