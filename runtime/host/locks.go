package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// TryLock takes an exclusive flock(2) on an open file; false where another holds it. Unlock, or the end of the
// process, gives it back.
func TryLock(f File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// Lock waits for an exclusive flock(2). When ctx ends first it closes the file: a lock that arrives later is given
// back at once.
func Lock(ctx context.Context, f File) error {
	done := make(chan error, 1)
	fd := int(f.Fd())
	go func() {
		for {
			err := unix.Flock(fd, unix.LOCK_EX)
			if !errors.Is(err, unix.EINTR) {
				done <- err
				return
			}
		}
	}()
	select {
	case err := <-done:
		if err != nil {
			return errors.Join(fmt.Errorf("cannot lock: %w", err), f.Close())
		}
		return nil
	case <-ctx.Done():
		go func() {
			<-done
			Unlock(f)
		}()
		return context.Cause(ctx)
	}
}

// Unlock gives a lock back and closes its file. Closing alone would not do: a child between fork and exec has a copy of
// the open file, and a lock lasts as long as any copy.
func Unlock(f File) error {
	unix.Flock(int(f.Fd()), unix.LOCK_UN) // where that fails, closing tells why
	return f.Close()
}

// Gone reports that this machine has no process of that id.
func Gone(pid int) bool { return pid > 0 && errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

// SHA256 is the digest of data in hexadecimal.
func SHA256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
