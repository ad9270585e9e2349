package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/erlmcp/runner/runtime/host"
)

// keepServiceLogs is how many logs of earlier starts stay beside the present one.
const keepServiceLogs = 5

// LogPath is the log of the service of a root. Logs lie in shared: they outlive releases.
func LogPath(root string) string { return filepath.Join(root, "shared", "log", "service.log") }

// freshLog renames the logs of earlier starts: service.log becomes service.log.1, and so on.
func freshLog(h *host.Host, root string) (string, error) {
	path := LogPath(root)
	if err := host.MkdirAll(h.Files, filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	for n := keepServiceLogs; n >= 1; n-- {
		from := path
		if n > 1 {
			from = fmt.Sprintf("%s.%d", path, n-1)
		}
		err := h.Files.Rename(from, fmt.Sprintf("%s.%d", path, n))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return path, nil
}

// tailBytes is how much of a log's end is read for its last lines.
const tailBytes = 64 << 10

// Said is the last n lines that what was started last has logged, and where they stand.
func Said(ctx context.Context, h *host.Host, root string, r Running, n int) (lines, where string, err error) {
	if m := r.Loaded.Systemd; m != nil {
		lines, err = m.tail(ctx, h, n)
		return lines, "journalctl --unit " + m.Unit, err
	}
	lines, err = Tail(h, root, n)
	return lines, LogPath(root), err
}

// Tail is the last n lines of the log of the service of a root, "" where there are none.
func Tail(h *host.Host, root string, n int) (string, error) { return TailOf(h, LogPath(root), n) }

// TailOf is the last n lines of a log, as far as they stand in its last 64 KiB; "" where there is none.
func TailOf(h *host.Host, name string, n int) (string, error) {
	f, err := h.Files.Open(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if _, err := f.Seek(max(0, info.Size()-tailBytes), io.SeekStart); err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, tailBytes))
	if err != nil {
		return "", err
	}
	text := strings.ToValidUTF8(string(b), "\uFFFD")
	if info.Size() > tailBytes {
		text = "…" + text // a piece of a line, and of what may be a secret
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n"), nil
}
