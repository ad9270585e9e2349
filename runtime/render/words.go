package render

import "github.com/erlmcp/runner/runtime/event"

// Verdict is the end of a run in words, a sentence to a line.
func Verdict(f event.RunFinished) []string { return append([]string{meaning(f)}, sentences(f)...) }
