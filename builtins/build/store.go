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
	"time"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

const (
	folder  = ".runner/builds" // in the project; a folder for each input digest
	record  = "artifact.json"  // in that folder: what is beside it
	used    = "used"           // in that folder: a number, higher for each later use
	stamped = "stamp"          // in that folder: what a plan knows the build by
	lock    = "lock"           // in that folder: held by its maker while it is being made
	making  = ".new-"          // begins the name of a folder that is being made
	kept    = 10               // builds are kept, the last used ones
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

// entry is the record beside an artifact. A program that lost its executable bit is not what was made, though a file's
// digest does not show it.
type entry struct {
	Artifact artifact.Artifact `json:"artifact"`
	Program  bool              `json:"program"`
}

func (s store) program(name string) bool {
	info, err := s.h.Files.Stat(name)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// find gives the artifact of an input, unless it was never made, or is no longer what was made.
func (s store) find(input string) (artifact.Artifact, bool) {
	var e entry
	b, err := host.ReadFile(s.h.Files, s.path(input, record), 64<<10)
	if err != nil || json.Unmarshal(b, &e) != nil || checkName("", e.Artifact.Name) != nil {
		return e.Artifact, false
	}
	a := e.Artifact
	a.Path = s.path(input, a.Name)
	digest, size, err := artifact.Digest(s.h.Files, a.Path)
	return a, err == nil && digest == a.Digest && size == int64(a.Size) && s.program(a.Path) == e.Program
}

// make has fill put the artifact, under its name, into a new folder, and keeps that under the input's digest as one
// step. What a maker that was killed leaves is in a folder of another name, and goes with the next build.
func (s store) make(ctx context.Context, input string, key op.Key, a artifact.Artifact, fill func(dir string, a *artifact.Artifact) error) (artifact.Artifact, error) {
	dir := s.path(making + strings.ReplaceAll(string(key), "/", "-"))
	l, err := s.begin(dir)
	if err != nil {
		return a, fmt.Errorf("cannot make a folder for the build: %w", artifact.Plainly(err))
	}
	defer host.Unlock(l)
	if err := fill(dir, &a); err != nil {
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
	if err := s.keep(dir, input, &a); err != nil {
		return a, fmt.Errorf("cannot keep the build: %w", artifact.Plainly(err))
	}
	return a, nil
}

// begin makes the folder that a build is made in, and holds its lock: who finds the lock free finds a dead build.
func (s store) begin(dir string) (host.File, error) {
	if err := s.ready(); err != nil {
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
	free, err := host.TryLock(f)
	if err == nil && !free {
		err = errors.New("another run is making it")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// alone waits until no other run builds in the folder of the plan's source, and keeps others out until the plan's hold is
// unlocked. It tells whether it had to wait.
func (s store) alone(ctx context.Context, p *plan, patience time.Duration) (waited bool, err error) {
	if err := s.ready(); err != nil {
		return false, fmt.Errorf("cannot make a folder for the build: %w", artifact.Plainly(err))
	}
	f, err := s.h.Files.Open(s.path(".in-"+host.SHA256([]byte(s.h.Abs(p.dir)))[:12]), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, fmt.Errorf("cannot lock the source: %w", artifact.Plainly(err))
	}
	free, err := host.TryLock(f)
	if err == nil && !free {
		op.Waiting(ctx, "another run, which builds in "+s.h.Abs(p.dir), s.h.Clock.Now().Add(patience))
		late := fmt.Errorf("another run builds in %s for longer than %s", s.h.Abs(p.dir), op.Duration(patience))
		limited, cancel := s.h.Clock.Timeout(ctx, patience, late)
		defer cancel()
		if err := host.Lock(limited, f); err != nil { // which closes it
			return true, fmt.Errorf("cannot build %s: %w", p.what, err)
		}
	}
	if err != nil {
		return false, errors.Join(fmt.Errorf("cannot lock the source: %w", err), f.Close())
	}
	p.hold = f
	return !free, nil
}

func (s store) ready() error {
	if err := host.MkdirAll(s.h.Files, s.dir, 0o700); err != nil {
		return err
	}
	return s.put(s.path(".gitignore"), "*\n")
}

// put writes a few bytes that may be lost. Two runs may do so at once, as a build is under no lease.
func (s store) put(name, text string) error {
	f, err := s.h.Files.Open(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	return errors.Join(err, f.Close())
}

func (s store) keep(dir, input string, a *artifact.Artifact) error {
	b, err := json.MarshalIndent(entry{*a, s.program(filepath.Join(dir, a.Name))}, "", "  ")
	if err != nil {
		return err
	}
	if err := host.WriteFile(s.h.Files, filepath.Join(dir, record), append(b, '\n'), 0o600); err != nil {
		return err
	}
	if other, found := s.find(input); found { // another run was faster
		*a = other
		return host.RemoveAll(s.h.Files, dir)
	}
	if err := host.RemoveAll(s.h.Files, s.path(input)); err != nil {
		return err
	}
	if err := s.h.Files.Rename(dir, s.path(input)); err != nil {
		return err
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
	err = errors.Join(err, s.put(s.path(input, used), fmt.Sprintf("%020d\n", newest+1)))
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
	if err != nil { // its maker is about to make it
		return nil
	}
	defer host.Unlock(f)
	if free, err := host.TryLock(f); err != nil || !free {
		return err
	}
	return host.RemoveAll(s.h.Files, s.path(name))
}
