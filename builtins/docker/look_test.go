package docker

import (
	"fmt"
	"strings"
	"testing"
)

// What a container has printed is bounded, and begins with a whole line where it is cut.
func TestLast(t *testing.T) {
	for size, want := range map[int]string{3: "whole", maxBytes: "whole", maxBytes + 1: "cut", 2*maxBytes + 1: "cut", 5 * maxBytes: "cut"} {
		kept := &last{}
		var all strings.Builder
		for n := 0; all.Len() < size; n++ {
			line := fmt.Sprintf("%d %s\n", n, strings.Repeat("é", 500))
			if rest := size - all.Len(); rest < len(line) {
				line = strings.Repeat("x", rest)
			}
			all.WriteString(line)
			kept.Write([]byte(line))
		}
		got := kept.text()
		if len(got) > maxBytes || len(kept.b) > 2*maxBytes || !strings.HasSuffix(all.String(), got) {
			t.Errorf("of %d bytes: %d, and %d in memory, which are their end: %v", size, len(got), len(kept.b), strings.HasSuffix(all.String(), got))
		}
		if cut := len(got) < size; cut != (want == "cut") || cut && (len(got) < maxBytes-2000 || all.String()[size-len(got)-1] != '\n') {
			t.Errorf("of %d bytes: %d: want %s", size, len(got), want)
		}
	}
	if got := (&last{b: []byte("a\xff\n")}).text(); got != "a\uFFFD\n" {
		t.Errorf("%q", got)
	}
}
