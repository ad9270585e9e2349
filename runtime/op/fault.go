package op

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"runtime/debug"
	"strings"
)

// Fault is a mistake in runner itself: a panic, turned into the error of what was being done.
type Fault struct {
	ID    string // the same for the same place in the program
	Cause any    // what was panicked with
	Stack string
}

func (f *Fault) Error() string {
	return fmt.Sprintf("a fault of runner itself (%s): %v", f.ID, f.Cause)
}

// Unwrap gives the cause where that is an error.
func (f *Fault) Unwrap() error {
	err, _ := f.Cause.(error)
	return err
}

// NewFault is the fault that recover has met. It is called in the deferred function that recovers.
func NewFault(cause any) *Fault {
	stack := string(debug.Stack())
	return &Fault{ID: faultID(stack), Cause: cause, Stack: stack}
}

var goLine = regexp.MustCompile(`[\w.-]+\.go:\d+`)

// faultID is a digest of where the panic began: the innermost lines of Go, without addresses and goroutine numbers.
func faultID(stack string) string {
	if _, after, ok := strings.Cut(stack, "\npanic("); ok {
		stack = after
	}
	h := sha256.New()
	for _, l := range goLine.FindAllString(stack, 6) {
		fmt.Fprintln(h, l)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:4])
}
