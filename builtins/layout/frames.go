package layout

import (
	"context"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"io"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"github.com/erlmcp/runner/runtime/host"
)

// Each frame is compressed by itself, so that two can be at once; the window of a frame is no larger than it.
const (
	frame    = 4 << 20
	atATime  = 2
	maxFrame = 64 << 20 // of memory, for a frame that is read

	// Literals are coded by their frequency only where that pays: in a release of Erlang, whose modules are compressed
	// already, it takes half of the time and gains 2 %; in native programs it gains 14 %. One frame of so many is
	// compressed both ways; a gain of less than one part of so many is none.
	sample = 8
	gain   = 32
)

// frames compresses what is written to it, some frames at a time, and writes them in their order.
type frames struct {
	ctx     context.Context
	zip     *zstd.Encoder
	quick   *zstd.Encoder // leaves literals as they are
	count   int
	pays    atomic.Bool // to code literals
	buf     []byte
	queue   chan chan []byte
	spare   chan []byte
	writing sync.WaitGroup
	closed  bool

	sum  hash.Hash
	fail chan error // the first error of the writer
	err  error
}

func newFrames(ctx context.Context, to host.File) (*frames, error) {
	options := []zstd.EOption{zstd.WithEncoderConcurrency(atATime), zstd.WithEncoderLevel(zstd.SpeedFastest)}
	zip, err := zstd.NewWriter(nil, options...)
	if err != nil {
		return nil, err
	}
	quick, err := zstd.NewWriter(nil, append(options, zstd.WithNoEntropyCompression(true))...)
	if err != nil {
		return nil, err
	}
	w := &frames{ctx: ctx, zip: zip, quick: quick, queue: make(chan chan []byte, atATime-1), spare: make(chan []byte, 4*atATime),
		sum: newSum(), fail: make(chan error, 1)}
	w.writing.Go(func() { w.write(to) })
	return w, nil
}

// newSum sums up what stands in an archive before its manifest. The digests that count are those of the files, in the
// manifest; this finds what has changed between them.
func newSum() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

func sumOf(h hash.Hash) string { return "crc32c:" + hex.EncodeToString(h.Sum(nil)) }

func (w *frames) write(to host.File) {
	failed := false
	for next := range w.queue {
		b := <-next
		if !failed {
			w.sum.Write(b)
			if _, err := to.Write(b); err != nil {
				failed = true
				w.fail <- err
			}
			host.Hasten(to)
		}
		w.free(b)
	}
}

// Write implements io.Writer.
func (w *frames) Write(p []byte) (n int, err error) {
	for len(p) > 0 && w.check() == nil {
		if w.buf == nil {
			w.buf = w.buffer()
		}
		take := min(len(p), frame-len(w.buf))
		w.buf, p, n = append(w.buf, p[:take]...), p[take:], n+take
		if len(w.buf) == frame {
			w.flush()
		}
	}
	return n, w.err
}

// ReadFrom implements io.ReaderFrom: what is read is not copied again.
func (w *frames) ReadFrom(in io.Reader) (n int64, err error) {
	for err == nil && w.check() == nil {
		if w.buf == nil {
			w.buf = w.buffer()
		}
		var got int
		got, err = in.Read(w.buf[len(w.buf):frame])
		w.buf, n = w.buf[:len(w.buf)+got], n+int64(got)
		if len(w.buf) == frame {
			w.flush()
		}
	}
	if err == nil || err == io.EOF {
		err = w.err
	}
	return n, err
}

// check gives the first thing that went wrong.
func (w *frames) check() error {
	select {
	case err := <-w.fail:
		w.err = err
	default:
		if w.err == nil {
			w.err = context.Cause(w.ctx)
		}
	}
	return w.err
}

func (w *frames) buffer() []byte {
	select {
	case b := <-w.spare:
		return b
	default:
		return make([]byte, 0, frame)
	}
}

func (w *frames) free(b []byte) {
	select {
	case w.spare <- b[:0]:
	default:
	}
}

func (w *frames) flush() {
	plain, n, done := w.buf, w.count, make(chan []byte, 1)
	w.buf, w.count = nil, n+1
	w.queue <- done
	go func() { // the writer waits for it
		done <- w.encode(n, plain)
		w.free(plain)
	}()
}

func (w *frames) encode(n int, plain []byte) []byte {
	if n%sample != 0 {
		if w.pays.Load() {
			return w.zip.EncodeAll(plain, w.buffer())
		}
		return w.quick.EncodeAll(plain, w.buffer())
	}
	small, large := w.zip.EncodeAll(plain, w.buffer()), w.quick.EncodeAll(plain, w.buffer())
	w.pays.Store(len(large)-len(small) > len(large)/gain)
	w.free(large)
	return small
}

// Close writes what is left and gives the digest of everything that was written.
func (w *frames) Close() (string, error) {
	if !w.closed {
		w.closed = true
		if len(w.buf) > 0 {
			w.flush()
		}
		close(w.queue)
		w.writing.Wait()
		w.zip.Close()
		w.quick.Close()
	}
	return sumOf(w.sum), w.check()
}
