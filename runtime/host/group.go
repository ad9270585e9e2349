package host

import (
	"errors"
	"os/user"
)

// FindGroup reports whether this machine has a group of a name.
func FindGroup(name string) (bool, error) {
	_, err := user.LookupGroup(name)
	if unknown := user.UnknownGroupError(""); errors.As(err, &unknown) {
		return false, nil
	}
	return err == nil, err
}
