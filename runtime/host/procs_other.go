//go:build !linux

package host

import (
	"context"
	"errors"
	"syscall"
	"time"
)

// Linux stands for the processes of a machine that is not one: direct targets need Linux.
type Linux struct{ Boot, Mask string }

var errNotLinux = errors.New("cannot work with processes here: direct targets need Linux")

// BootID is the id of this boot of the machine.
func BootID() (string, error) { return "", nil }

// LookPath finds nothing.
func LookPath(Cmd) (string, error) { return "", errNotLinux }

// Run implements Procs.
func (Linux) Run(context.Context, Cmd, func(Proc) error) (Exit, error) { return Exit{}, errNotLinux }

// Spawn implements Procs.
func (Linux) Spawn(context.Context, Cmd, func(Proc) error) (Proc, error) { return Proc{}, errNotLinux }

// Find implements Procs.
func (Linux) Find(int) (Proc, bool) { return Proc{}, false }

// Alive implements Procs.
func (Linux) Alive(Proc) bool { return false }

// Stop implements Procs.
func (Linux) Stop(context.Context, Proc, syscall.Signal, time.Duration) error { return errNotLinux }

// Wait implements Procs.
func (Linux) Wait(context.Context, Proc) error { return errNotLinux }

// PortOwner implements Procs.
func (Linux) PortOwner(int) (PortOwner, bool) { return PortOwner{}, false }
