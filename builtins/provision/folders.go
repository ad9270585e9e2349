package provision

import (
	"fmt"
	"path/filepath"
)

// The modes of the folders. What others may see of .runner is nothing; what a rehearsal starts there must pass through.
const (
	open   = 0o2775
	closed = 0o2771
)

// place is a folder that a root has.
type place struct {
	why, path, owner, group string
	mode                    uint32
}

func (w *Work) folders(want Want, m Machine) {
	owner := want.user()
	if owner == "" {
		owner = "root"
	}
	why := "folders that the group shares"
	for _, name := range []string{"", "releases", "backups", ".runner"} {
		p := place{why, filepath.Join(want.Root, name), "root", want.Group, open}
		if name == ".runner" {
			p.mode = closed
		}
		w.folder(p, want, m)
	}
	w.folder(place{"what outlives releases is the service's", want.shared(), owner, sharing(want, m), open}, want, m)
}

func (w *Work) folder(p place, want Want, m Machine) {
	f, there := m.Folders[p.path]
	switch {
	case !there:
		w.do(p.why, "install", "--directory", "--owner="+p.owner, "--group="+p.group, fmt.Sprintf("--mode=%o", p.mode), p.path)
		return
	case f.Kind != "a directory":
		w.differ(p.path, " is ", f.Kind, ", where a directory is wanted")
		return
	case f.Mode&0o002 != 0:
		w.differ(fmt.Sprintf("every user of the machine can write in %s: its mode is %04o, where %04o is wanted", p.path, f.Mode, p.mode))
		return
	}
	isShared := p.path == want.shared()
	if owner := p.otherOwner(f, want); owner && (isShared || p.path == want.Root) {
		w.differ(p.path, " belongs to ", f.Owner, ", and not to ", p.owner)
		return
	}
	taken := isShared && f.Owner != p.owner && want.user() != ""
	own := f.Group == p.group || f.Group == "root" || f.Group == f.Owner || taken
	if !own {
		w.differ(p.path, " is of the group ", f.Group, ", and not of ", p.group, "; --group ", f.Group, " keeps it")
		return
	}
	switch {
	case taken: // what the service wrote as another is its own from now on
		w.do(p.why, "chown", "--recursive", "--no-dereference", p.owner+":"+p.group, p.path)
	case f.Foreign && !isShared && p.path != want.Root:
		w.do(p.why, "chgrp", "--recursive", "--no-dereference", p.group, p.path)
	case f.Group != p.group:
		w.do(p.why, "chgrp", "--no-dereference", p.group, p.path)
	}
	w.modes(p, f, want)
}

// modes opens to the group what earlier runs, of one user, have made there.
func (w *Work) modes(p place, f Folder, want Want) {
	if f.Mode&p.mode != p.mode || p.mode == closed && f.Mode&0o006 != 0 {
		w.do(p.why, "chmod", fmt.Sprintf("%o", p.mode), p.path)
	}
	if p.path == want.shared() || p.path == want.Root {
		return
	}
	if f.Private && p.mode == closed {
		w.do(p.why, "chmod", "--recursive", "g+u", p.path)
	}
	if f.Closed {
		w.do(p.why, "find", p.path, "-type", "d", "!", "-perm", "-2070", "-exec", "chmod", "g+rwxs", "{}", "+")
	}
}

// otherOwner reports whether a folder belongs to somebody who has nothing to do with the target.
func (p place) otherOwner(f Folder, want Want) bool {
	return f.Owner != p.owner && f.Owner != "root" && f.Owner != want.Deployer && (f.Owner != want.user() || want.user() == "")
}
