package builtin

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"strings"
)

// Caught turns what recover gave into an error: an *UnknownUsed as it is, anything else into a *Fault; nil stays nil.
func Caught(r any) error {
	if r == nil {
		return nil
	}
	if u := asUnknownUsed(r); u != nil {
		return u
	}
	stack := string(debug.Stack())
	return &Fault{ID: faultID(stack), Cause: r, Stack: stack}
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

// IsFault reports whether an error is a mistake in runner itself.
func IsFault(err error) bool {
	var f *Fault
	return errors.As(err, &f)
}
