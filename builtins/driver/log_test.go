package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogsOfEarlierStarts(t *testing.T) {
	p := newPlace(t)
	if tail, err := Tail(p.h, p.root, 5); tail != "" || err != nil {
		t.Errorf("before: %q, %v", tail, err)
	}
	for n := range keepServiceLogs + 3 {
		p.start(process("sh", "-c", fmt.Sprintf("echo start %d", n)))
		p.logs(fmt.Sprintf("start %d", n))
	}
	entries, err := os.ReadDir(filepath.Dir(LogPath(p.root)))
	p.must(err)
	if len(entries) != keepServiceLogs+1 {
		t.Errorf("%d logs", len(entries))
	}
	for back, name := range []string{"", ".1", ".2", ".3", ".4", ".5"} {
		b, err := os.ReadFile(LogPath(p.root) + name)
		if want := fmt.Sprintf("start %d\n", keepServiceLogs+2-back); err != nil || string(b) != want {
			t.Errorf("%s holds %q, want %q; %v", name, b, want, err)
		}
	}
}

func TestTail(t *testing.T) {
	p := newPlace(t)
	p.must(os.MkdirAll(filepath.Dir(LogPath(p.root)), 0o755))
	for want, text := range map[string]string{"b\nc": "a\nb\nc\n", "only": "only", "\uFFFDx": "\xffx\n", strings.Repeat("y", tailBytes): strings.Repeat("y", 3*tailBytes)} {
		p.must(os.WriteFile(LogPath(p.root), []byte(text), 0o644))
		if got, err := Tail(p.h, p.root, 2); got != want || err != nil {
			t.Errorf("the tail of %.20q is %.20q, %v", text, got, err)
		}
	}
}
