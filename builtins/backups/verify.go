package backups

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/layout"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Verify is backups.verify.
type Verify struct {
	_    op.Doc `doc:"Reads every byte of a backup back and compares it with the manifest: what is missing, added or not what was copied is an error."`
	Root string `json:"root" doc:"The host root."`
	Name string `json:"name" doc:"The name of the backup, or what else backups.find takes."`
}

// Verified is the result of Verify.
type Verified struct {
	Name  string      `json:"name" doc:"The name of the backup."`
	Files int         `json:"files" doc:"How many files were read."`
	Bytes op.Size     `json:"bytes" doc:"How many bytes they have."`
	Took  op.Duration `json:"took" doc:"How long that took."`
}

// Check implements op.Checked.
func (v Verify) Check() error { return nameable(v.Name) }

// Summary implements op.Op.
func (v Verify) Summary() string { return "verify the backup " + v.Name }

// Do implements op.Op.
func (v Verify) Do(ctx context.Context, h *host.Host) (Verified, error) {
	began := h.Clock.Now()
	b, err := Find{Name: v.Name}.named(layout.At(h, v.Root))
	if err != nil {
		return Verified{}, err
	}
	have, added, err := readBack(ctx, h.Files, b)
	if ctx.Err() != nil {
		return Verified{}, context.Cause(ctx)
	}
	problems := append(compare(b.Entries, have), added...)
	if err != nil {
		problems = append([]string{artifact.Plainly(err).Error()}, problems...)
	}
	if len(problems) > 0 {
		return Verified{}, damage(b.ID, problems, alternative(layout.At(h, v.Root), b.ID))
	}
	out := Verified{Name: b.ID, Took: op.Duration(h.Clock.Now().Sub(began))}
	for _, e := range have {
		if e.Mode.IsRegular() {
			out.Files++
			out.Bytes += op.Size(e.Size)
		}
	}
	return out, nil
}

// shownProblems is how many an error lists: it fits on one screen.
const shownProblems = 10

func damage(name string, problems []string, other string) error {
	lines := problems
	if len(lines) > shownProblems {
		lines = append(slices.Clone(lines[:shownProblems]), fmt.Sprintf("and %d more", len(problems)-shownProblems))
	}
	return op.Hint(fmt.Errorf("the backup %s is not what was copied:\n  %s", name, strings.Join(lines, "\n  ")),
		"%s", other)
}

// alternative says what else there is than a backup that is damaged.
func alternative(r layout.Root, damaged string) string {
	all, _ := r.BriefBackups()
	all = slices.DeleteFunc(all, func(b layout.Backup) bool { return b.ID == damaged })
	live, _ := serves(r)
	if there := (Find{Releases: true}).others(r, all, live); there != "" {
		return "nothing was changed; there are " + there
	}
	return "it is the only one, and nothing was changed"
}

// readBack reads what is there, and lists what nobody could have copied.
func readBack(ctx context.Context, f host.FS, b layout.Backup) (have []host.Entry, added []string, err error) {
	if b.Archive {
		have, err = unpack(ctx, f, b)
		return have, nil, err
	}
	t, err := artifact.FindLive(f, b.Path)
	if err != nil {
		return nil, nil, err
	}
	t.Entries = slices.DeleteFunc(t.Entries, func(e host.Entry) bool { return e.Path == layout.BackupManifest })
	for _, name := range t.Skipped {
		added = append(added, name+" was added, and is no file")
	}
	return t.Entries, added, t.Hash(ctx, f)
}

func unpack(ctx context.Context, f host.FS, b layout.Backup) (have []host.Entry, err error) {
	var done int64
	err = layout.ReadArchive(ctx, f, b, func(e host.Entry, in io.Reader) error {
		if e.Mode.IsRegular() {
			digest, size, err := artifact.Sum(in)
			if err != nil {
				return err
			}
			e.SHA256, e.Size = digest, size
			done += size
			op.Progress(ctx, done, b.Size, "bytes")
		}
		have = append(have, e)
		return nil
	})
	return have, err
}

// rights are what of a mode must be as it was. What a folder gives its group is decided by where it lies.
func rights(m fs.FileMode) fs.FileMode {
	if m.IsDir() {
		m &^= 0o070
	}
	return m
}

// compare lists in what a tree differs from its manifest.
func compare(want, have []host.Entry) (out []string) {
	found := map[string]host.Entry{}
	for _, e := range have {
		found[e.Path] = e
	}
	for _, w := range want {
		e, is := found[w.Path]
		delete(found, w.Path)
		switch {
		case !is:
			out = append(out, w.Path+" is missing")
		case e.Mode.Type() != w.Mode.Type():
			out = append(out, fmt.Sprintf("%s is %s, want %s", w.Path, artifact.Kind(e.Mode), artifact.Kind(w.Mode)))
		case e.Link != w.Link:
			out = append(out, fmt.Sprintf("%s leads to %s, want %s", w.Path, e.Link, w.Link))
		case e.Size != w.Size:
			out = append(out, fmt.Sprintf("%s has %d bytes, want %d", w.Path, e.Size, w.Size))
		case e.SHA256 != w.SHA256:
			out = append(out, fmt.Sprintf("%s has other content: %.15s…, want %.15s…", w.Path, e.SHA256, w.SHA256))
		case e.Mode.Type() != fs.ModeSymlink && rights(e.Mode) != rights(w.Mode):
			out = append(out, fmt.Sprintf("%s has mode %04o, want %04o", w.Path, e.Mode.Perm(), w.Mode.Perm()))
		}
	}
	for _, e := range have {
		if _, extra := found[e.Path]; extra {
			out = append(out, e.Path+" was added")
		}
	}
	return out
}
