package layout

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/erlmcp/runner/runtime/host"
)

// What gives other bytes than were announced would put what follows in another place.
func TestArchiveOfWhatLies(t *testing.T) {
	for _, size := range []int64{2, 4} {
		a, err := NewArchive(t.Context(), host.OS{}, filepath.Join(t.TempDir(), "a"))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Add(host.Entry{Path: "f", Mode: 0o644, Size: size}, bytes.NewReader([]byte("123"))); err == nil {
			t.Errorf("3 bytes are taken for %d", size)
		}
		a.Close(nil)
	}
}

// Literals are coded where that pays, and what comes out is what went in, whether or not.
func TestFrames(t *testing.T) {
	noise := make([]byte, 3*frame+1000)
	rand.NewChaCha8([32]byte{}).Read(noise)
	letters := bytes.Clone(noise)
	for i, c := range letters {
		letters[i] = 'a' + c%16
		if i%64 < 16 {
			letters[i] = '0' + byte(i%64)
		}
	}
	for name, c := range map[string]struct {
		content []byte
		pays    bool
	}{"noise": {noise, false}, "letters": {letters, true}, "nothing": {nil, false}} {
		path := filepath.Join(t.TempDir(), name)
		file, err := host.OS{}.Open(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		w, err := newFrames(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(c.content[:len(c.content)/2])
		n, err := w.ReadFrom(bytes.NewReader(c.content[len(c.content)/2:]))
		if sum, closed := w.Close(); err != nil || closed != nil || n != int64((len(c.content)+1)/2) || len(sum) != len("crc32c:00000000") {
			t.Errorf("%s: %d bytes read, %v, %v, %s", name, n, err, closed, sum)
		}
		if w.pays.Load() != c.pays {
			t.Errorf("%s: coded: %v, want %v", name, w.pays.Load(), c.pays)
		}
		file.Seek(0, io.SeekStart)
		plain, err := zstd.NewReader(file)
		if err != nil {
			t.Fatal(err)
		}
		back, err := io.ReadAll(plain)
		if err != nil || !bytes.Equal(back, c.content) {
			t.Errorf("%s: %d bytes became %d: %v", name, len(c.content), len(back), err)
		}
		if info, _ := file.Stat(); c.pays && info.Size() > int64(len(c.content))*6/10 {
			t.Errorf("%s: %d bytes became %d", name, len(c.content), info.Size())
		}
		plain.Close()
		file.Close()
	}
}
