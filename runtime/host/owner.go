package host

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// CanBe is why this process cannot start another as a user; nil for "", and where it can.
func CanBe(user string) error {
	_, err := lookUp(user)
	return err
}

// lookUp is what a process needs to be a user's, nil where it is already, or nobody was named.
func lookUp(name string) (*syscall.Credential, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("there is no user %s on this machine", name)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("cannot use the id of user %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("cannot use the group of user %s: %w", name, err)
	}
	switch os.Geteuid() {
	case int(uid):
		return nil, nil
	case 0:
	default:
		return nil, fmt.Errorf("cannot act for user %s: only root can", name)
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	ids, err := u.GroupIds()
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			c.Groups = append(c.Groups, uint32(n))
		}
	}
	return c, err
}
