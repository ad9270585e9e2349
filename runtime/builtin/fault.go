package builtin

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"runtime/debug"
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

// faultID is a digest of the lines of Go that the panic passed through, without addresses and goroutine numbers.
func faultID(stack string) string {
	h := sha256.New()
	for _, l := range goLine.FindAllString(stack, -1) {
		fmt.Fprintln(h, l)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:4])
}
