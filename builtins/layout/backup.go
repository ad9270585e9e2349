package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// The names of backups.
const (
	BackupManifest = ".runner-backup.json" // inside a backup that is a folder
	ArchiveSuffix  = ".tar.zst"            // of one that is an archive; its manifest is at its end
)

// Backup is what stands in a backup's manifest.
type Backup struct {
	ID      string `json:"-"` // the name of its folder, or of its archive without the suffix
	Path    string `json:"-"`
	Archive bool   `json:"-"`

	Sequence int          `json:"sequence"` // the order of backups
	Kind     string       `json:"kind"`
	Name     string       `json:"name"` // the application's
	Version  string       `json:"version"`
	Digest   string       `json:"digest"` // of the artifact that the installed entries make again
	Platform string       `json:"platform"`
	Config   string       `json:"config,omitempty"` // the digest of the configuration
	Release  string       `json:"release"`
	Good     bool         `json:"good"`
	Accepted int          `json:"accepted"`
	Created  time.Time    `json:"created"`
	Size     int64        `json:"size"` // of its files
	Key      op.Key       `json:"key"`
	Shared   []string     `json:"shared,omitempty"`  // the folders that were links to ROOT/shared
	Program  string       `json:"program,omitempty"` // the one file, where the artifact was a file
	Content  string       `json:"content,omitempty"` // of an archive: the digest of what stands before its manifest
	Entries  []host.Entry `json:"entries"`
}

// sealed is a manifest with its own digest: a bit that flips in a version or a mode is found as well.
type sealed struct {
	SHA256 string          `json:"sha256"`
	Backup json.RawMessage `json:"backup"`
}

// Seal is the manifest as it is written.
func (b Backup) Seal() ([]byte, error) {
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	return json.Marshal(sealed{host.SHA256(raw), raw})
}

// unseal reads a manifest; in brief, without the entries, which are nearly all of it.
func unseal(data []byte, brief bool) (Backup, error) {
	var b Backup
	raw, err := opened(data)
	if at := bytes.Index(raw, []byte(`,"entries":`)); err == nil && brief && at > 0 { // inside of a string its quotes were escaped
		raw = append(raw[:at:at], '}')
	}
	if err == nil {
		err = json.Unmarshal(raw, &b)
	}
	if err == nil {
		err = b.check()
	}
	if err != nil {
		return Backup{}, fmt.Errorf("its manifest is damaged: %w", err)
	}
	return b, nil
}

// opened is what a seal stands around, once it is proved to be what was sealed, to the byte.
func opened(data []byte) ([]byte, error) {
	empty, err := json.Marshal(sealed{host.SHA256(nil), json.RawMessage("0")})
	end := len(empty) - len("0}")
	if err != nil || len(data) <= end || data[len(data)-1] != '}' {
		return nil, errors.New("it is cut off")
	}
	raw := data[end : len(data)-1]
	if seal := bytes.Replace(empty[:end], []byte(host.SHA256(nil)), []byte(host.SHA256(raw)), 1); !bytes.HasPrefix(data, seal) {
		return nil, errors.New("its digest is not the one that it names")
	}
	return raw, nil
}

// check refuses entries that a restore could not keep inside its folder.
func (b Backup) check() error {
	folders := map[string]bool{".": true}
	for _, e := range b.Entries {
		if !fs.ValidPath(e.Path) || e.Path == "." || !folders[path.Dir(e.Path)] {
			return fmt.Errorf("%q is no place in it", e.Path)
		}
		switch e.Mode.Type() {
		case 0, fs.ModeSymlink:
		case fs.ModeDir:
			folders[e.Path] = true
		default:
			return fmt.Errorf("%q is no file, folder or link", e.Path)
		}
	}
	return nil
}

// InConfig reports whether an entry is the configuration that came with an install.
func InConfig(name string) bool { return name == ConfigDir || strings.HasPrefix(name, ConfigDir+"/") }

// OpenBackup reads the manifest of a backup by its path; false where that is no backup.
func OpenBackup(f host.FS, name string) (Backup, bool, error) { return openBackup(f, name, false) }

func openBackup(f host.FS, name string, brief bool) (Backup, bool, error) {
	info, err := f.Lstat(name)
	if err != nil {
		return Backup{}, false, err
	}
	var data []byte
	archive := false
	switch {
	case info.IsDir():
		data, err = host.ReadFile(f, filepath.Join(name, BackupManifest), maxManifest)
	case info.Mode().IsRegular() && strings.HasSuffix(name, ArchiveSuffix):
		archive = true
		data, _, err = trailer(f, name)
	default:
		err = errNoBackup
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoBackup) {
		return Backup{}, false, nil
	}
	var b Backup
	if err == nil {
		b, err = unseal(data, brief)
	}
	if err != nil {
		return Backup{}, false, fmt.Errorf("cannot read the backup %s: %w", name, host.Plainly(err))
	}
	b.Path, b.Archive, b.ID = name, archive, filepath.Base(name)
	if archive {
		b.ID = strings.TrimSuffix(b.ID, ArchiveSuffix)
	}
	return b, true, nil
}

var errNoBackup = errors.New("it is no backup")

// Backups is the folder of the backups. A link in its place is an error: what is kept there, and what is deleted there,
// must be this root's.
func (r Root) Backups() (string, error) {
	dir := filepath.Join(r.Path, "backups")
	info, err := r.Host.Files.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return dir, nil
	case err != nil:
		return "", err
	case info.Mode()&fs.ModeSymlink != 0:
		return "", op.Hint(fmt.Errorf("%s is a link, and backups are kept in a folder of the root alone", dir),
			"remove the link; to keep backups on another disk, mount that at %s", dir)
	case !info.IsDir():
		return "", fmt.Errorf("%s is in the way of the backups: it is no folder", dir)
	}
	return dir, nil
}

// OpenBackup reads the manifest of what lies among the backups under a name; false where that is something else. An
// archive without a manifest is one that was cut off.
func (r Root) OpenBackup(file string) (Backup, bool, error) { return r.openBackup(file, false) }

func (r Root) openBackup(file string, brief bool) (Backup, bool, error) {
	dir, err := r.Backups()
	if err != nil {
		return Backup{}, false, err
	}
	name := filepath.Join(dir, file)
	b, is, err := openBackup(r.Host.Files, name, brief)
	if err == nil && !is && strings.HasSuffix(file, ArchiveSuffix) {
		err = fmt.Errorf("cannot read the backup %s: its end, which is its manifest, is missing", name)
	}
	return b, is, err
}

// BriefBackups lists the backups, newest last, without their entries.
func (r Root) BriefBackups() ([]Backup, error) {
	all, _, _, err := r.AllBackups(true)
	return all, err
}

// AllBackups lists the backups, newest last, those whose manifest cannot be read by their error, and what else lies
// among them. Links are something else. In brief, it leaves out the entries, which are nearly all of a manifest.
func (r Root) AllBackups(brief bool) (all []Backup, damaged []error, others []string, err error) {
	dir, err := r.Backups()
	if err != nil {
		return nil, nil, nil, err
	}
	entries, err := r.Host.Files.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil, nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			others = append(others, e.Name())
			continue
		}
		b, is, err := r.openBackup(e.Name(), brief)
		switch {
		case errors.Is(err, fs.ErrNotExist): // deleted since it was listed
		case err != nil:
			damaged = append(damaged, err)
		case is:
			all = append(all, b)
		default:
			others = append(others, e.Name())
		}
	}
	slices.SortStableFunc(all, func(a, b Backup) int { return a.Sequence - b.Sequence })
	return all, damaged, others, err
}
