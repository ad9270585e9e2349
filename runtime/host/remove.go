package host

import (
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// A large tree is removed many files at a time: where others wait for the journal of a file system, each removal waits
// as well, and waiting together is a sixth of it. A small one is removed in one order.
const (
	fewFiles = 64
	removals = 16
)

// RemoveAll removes a tree. It removes links, never what they point to. What is not there is no error.
func RemoveAll(f FS, name string) error {
	info, err := f.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return remove(f, name)
	}
	files, levels, err := below(f, name)
	if err != nil {
		return err
	}
	atATime := removals
	if len(files) < fewFiles {
		atATime = 1
	}
	err = removeEach(f, files, atATime)
	for n := len(levels) - 1; n >= 0 && err == nil; n-- {
		err = removeEach(f, levels[n], atATime)
	}
	return err
}

// below lists what is in a tree, its folders level by level from the top.
func below(f FS, top string) (files []string, levels [][]string, err error) {
	for level := []string{top}; len(level) > 0; {
		var next []string
		for _, dir := range level {
			if info, err := f.Lstat(dir); err == nil && !info.IsDir() { // since it was listed, something has taken its place
				files = append(files, dir)
				continue
			}
			entries, err := f.ReadDir(dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, nil, err
			}
			for _, e := range entries {
				if name := filepath.Join(dir, e.Name()); e.IsDir() {
					next = append(next, name)
				} else {
					files = append(files, name)
				}
			}
		}
		levels, level = append(levels, level), next
	}
	return files, levels, nil
}

func removeEach(f FS, names []string, atATime int) error {
	var group errgroup.Group
	group.SetLimit(atATime)
	for _, name := range names {
		group.Go(func() error { return remove(f, name) })
	}
	return group.Wait()
}

func remove(f FS, name string) error {
	if err := f.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
