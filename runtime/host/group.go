package host

import (
	"errors"
	"os/user"
	"strconv"
)

// FindGroup gives the id of a group by its name; -1 and false where there is none.
func FindGroup(name string) (gid int, found bool, err error) {
	g, err := user.LookupGroup(name)
	if unknown := user.UnknownGroupError(""); errors.As(err, &unknown) {
		return -1, false, nil
	}
	if err != nil {
		return -1, false, err
	}
	gid, err = strconv.Atoi(g.Gid)
	return gid, err == nil, err
}
