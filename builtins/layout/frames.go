package layout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Each frame is compressed by itself, so that two can be at once; the window of a frame is no larger than it.
const (
	frame    = 4 << 20
	atATime  = 2
	maxFrame = 64 << 20 // of memory, for a frame that is read
)

// frames compresses what is written to it, some frames at a time, and writes them in their order.
type frames struct {
	ctx     context.Context
	zip     *zstd.Encoder
	buf     []byte
	queue   chan chan []byte
	spare   sync.Pool
	writing sync.WaitGroup
	closed  bool

	sum  hash.Hash
	fail chan error // the first error of the writer
	err  error
}

func newFrames(ctx context.Context, to io.Writer) (*frames, error) {
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(atATime), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, err
	}
	w := &frames{ctx: ctx, zip: zip, queue: make(chan chan []byte, atATime-1), sum: sha256.New(), fail: make(chan error, 1)}
	w.writing.Go(func() { w.write(to) })
	return w, nil
}

func (w *frames) write(to io.Writer) {
	failed := false
	for next := range w.queue {
		b := <-next
		if !failed {
			w.sum.Write(b)
			if _, err := to.Write(b); err != nil {
				failed = true
				w.fail <- err
			}
		}
		w.spare.Put(b[:0])
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
	if b, ok := w.spare.Get().([]byte); ok {
		return b
	}
	return make([]byte, 0, frame)
}

func (w *frames) flush() {
	plain, done := w.buf, make(chan []byte, 1)
	w.buf = nil
	w.queue <- done
	go func() { // the writer waits for it
		done <- w.zip.EncodeAll(plain, w.buffer())
		w.spare.Put(plain[:0])
	}()
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
	}
	return "sha256:" + hex.EncodeToString(w.sum.Sum(nil)), w.check()
}
