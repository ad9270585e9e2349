package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/runtime/host"
)

func folder(t testing.TB, h *host.Host, r Root) Folder {
	t.Helper()
	f, err := r.Do(t.Context(), h)
	must(t, err)
	return f
}

func TestRoot(t *testing.T) {
	h := newHost(t)
	me := host.UserName(os.Geteuid())
	must(t, os.Mkdir(filepath.Join(h.Project, "root"), 0o750), os.Chmod(filepath.Join(h.Project, "root"), 0o750))
	f := folder(t, h, Root{Path: "root"})
	if !f.Exists || !f.Directory || !f.Readable || !f.Writable || f.Owner != me || f.Mode != "0750" || f.Bytes <= 0 || f.Problem != "" || f.Network != "" {
		t.Errorf("%+v", f)
	}
	if f := folder(t, h, Root{Path: "none/of/these"}); f.Exists || !f.Writable || f.Readable || f.Bytes <= 0 || f.Problem != "" {
		t.Errorf("missing: %+v", f)
	}
	must(t, os.WriteFile(filepath.Join(h.Project, "file"), nil, 0o644), os.Symlink("root", filepath.Join(h.Project, "link")),
		os.Symlink("gone", filepath.Join(h.Project, "dangling")), os.Mkdir(filepath.Join(h.Project, "open"), 0o755),
		os.Chmod(filepath.Join(h.Project, "open"), 0o777))
	for path, want := range map[string]string{
		"file":       "it is no folder",
		"file/below": "it does not exist, and " + me + " cannot make it in " + h.Project + "/file: ",
		"link":       "",
		"dangling":   "it is a link to gone, which does not exist",
		"open":       "every user of the machine can write there: its mode is 0777",
	} {
		f := folder(t, h, Root{Path: path})
		if (want == "") != (f.Problem == "") || !strings.Contains(f.Problem, want) {
			t.Errorf("%s: %+v", path, f)
		}
	}
	if f := folder(t, h, Root{Path: "link"}); f.Link != "root" || !f.Directory || f.Mode != "0750" {
		t.Errorf("link: %+v", f)
	}
	if f, err := (Root{Path: "root", User: "no-such-user"}).Do(t.Context(), h); err != nil || !f.Nobody || f.Problem != "there is no user no-such-user on this machine" {
		t.Errorf("%v", err)
	}
}

// onNFS is a file system that says of itself that it is one.
type onNFS struct{ host.OS }

func (onNFS) Space(string) (host.Space, error) {
	return host.Space{Bytes: 1, Inodes: 2, Type: 0x6969}, nil
}

func TestNetworkFileSystem(t *testing.T) {
	h := newHost(t)
	h.Files = onNFS{}
	f := folder(t, h, Root{Path: "."})
	if f.Network != "NFS" || f.Bytes != 1 || f.Inodes != 2 || f.Problem != "it lies on NFS, where a file lock does not exclude other machines" {
		t.Errorf("%+v", f)
	}
}

// Another user's rights are those of the modes: the folder's and those of every folder above.
func TestRootForAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of others")
	}
	h := newHost(t)
	nobody, ok, err := host.FindAccount("nobody")
	must(t, err)
	if !ok {
		t.Skip("there is no user nobody")
	}
	above := filepath.Join(h.Project, "above")
	root := filepath.Join(above, "root")
	must(t, os.MkdirAll(root, 0o755))
	for dir := above; dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
		if strings.HasPrefix(filepath.Base(dir), "TestRoot") {
			break
		}
	}
	set := func(path string, uid, gid int, mode os.FileMode) {
		t.Helper()
		must(t, os.Chown(path, uid, gid), os.Chmod(path, mode))
	}
	at := func() Folder { return folder(t, h, Root{Path: root, User: "nobody"}) }
	set(root, nobody.UID, nobody.GID, 0o700)
	if f := at(); !f.Readable || !f.Writable || f.Problem != "" {
		t.Errorf("its own: %+v", f)
	}
	set(root, 0, nobody.GID, 0o770)
	if f := at(); !f.Writable {
		t.Errorf("its group's: %+v", f)
	}
	set(root, 0, nobody.GID, 0o757)
	if f := at(); f.Writable || !f.Readable || !strings.Contains(f.Problem, "nobody cannot write there: "+root+" is 0757") {
		t.Errorf("its group may not, others may: %+v", f)
	}
	set(root, nobody.UID, nobody.GID, 0o700)
	set(above, 0, 0, 0o700)
	if f := at(); f.Readable || f.Writable || !strings.Contains(f.Problem, "nobody cannot read there: "+above+" is 0700") {
		t.Errorf("behind a closed door: %+v", f)
	}
	link := filepath.Join(h.Project, "link")
	must(t, os.Symlink(root, link))
	if f := folder(t, h, Root{Path: link, User: "nobody"}); f.Readable {
		t.Errorf("by a link around the door: %+v", f)
	}
}

func TestReadOnly(t *testing.T) {
	const readOnly = 1 // ST_RDONLY, and MNT_RDONLY elsewhere
	var st unix.Statfs_t
	if unix.Statfs("/sys", &st) != nil || st.Flags&readOnly == 0 {
		t.Skip("no file system that can only be read")
	}
	if f := folder(t, newHost(t), Root{Path: "/sys/kernel"}); f.Problem != "it lies on a file system that can only be read" {
		t.Errorf("%+v", f)
	}
}
