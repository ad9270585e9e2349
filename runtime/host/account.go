package host

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Account is a user of this machine.
type Account struct {
	Name   string
	UID    int
	GID    int
	Group  string // the name of GID
	Groups []int  // every group, GID too
	Home   string
}

// FindAccount finds a user by name; false where there is none.
func FindAccount(name string) (Account, bool, error) {
	u, err := user.Lookup(name)
	if unknown := user.UnknownUserError(""); errors.As(err, &unknown) {
		return Account{}, false, nil
	}
	if err != nil {
		return Account{}, false, err
	}
	a := Account{Name: u.Username, Home: u.HomeDir}
	a.UID, err = strconv.Atoi(u.Uid)
	if err == nil {
		a.GID, err = strconv.Atoi(u.Gid)
	}
	if err != nil {
		return Account{}, false, err
	}
	a.Group, a.Groups = GroupName(a.GID), []int{a.GID}
	ids, err := u.GroupIds()
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil && n != a.GID {
			a.Groups = append(a.Groups, n)
		}
	}
	return a, err == nil, err
}

// UserName is a user's name, the number where there is none.
func UserName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// GroupName is a group's name, the number where there is none.
func GroupName(gid int) string {
	if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
		return g.Name
	}
	return strconv.Itoa(gid)
}

// Me is the id of the user as whom this process acts.
func Me() int { return os.Geteuid() }

// Ownership is the ids of a file's user and group, -1 where the file system has none.
func Ownership(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}

// May reports, as an error, why this process may not do what the mode says, unix.R_OK and its like, with a file.
func May(name string, mode uint32) error {
	return unix.Faccessat(unix.AT_FDCWD, name, mode, unix.AT_EACCESS)
}
