package layout

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/erlmcp/runner/runtime/host"
)

// An archive is a tar of zstd frames, and at its end the sealed manifest in a frame that zstd skips:
//
//	50 2a 4d 18, length, manifest, length of the manifest, "runner/1"
//
// so that one file is all of a backup, and tar alone can unpack it.
const (
	skippable = 0x184D2A50
	signature = "runner/1"
	footer    = 4 + len(signature)
)

// Archive is one that is being written.
type Archive struct {
	file   host.File
	frames *frames
}

// NewArchive makes an archive under a name that is free.
func NewArchive(ctx context.Context, f host.FS, name string) (*Archive, error) {
	file, err := f.Open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	frames, err := newFrames(ctx, file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Archive{file, frames}, nil
}

// Add writes an entry; of a file, its content.
func (a *Archive) Add(e host.Entry, in io.Reader) error {
	h := &tar.Header{Name: e.Path, Mode: int64(e.Mode.Perm()), Size: e.Size, Format: tar.FormatPAX}
	switch e.Mode.Type() {
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
	case fs.ModeSymlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Link
	default:
		h.Typeflag = tar.TypeReg
	}
	err := tar.NewWriter(a.frames).WriteHeader(h) // the content goes past it: it would be copied twice on its way
	if err != nil || in == nil {
		return err
	}
	n, err := a.frames.ReadFrom(in)
	if err == nil && n != e.Size {
		err = fmt.Errorf("%s gives %d bytes, and was said to have %d", e.Path, n, e.Size)
	}
	if err == nil {
		_, err = a.frames.Write(make([]byte, -n&(block-1)))
	}
	return err
}

// block is what everything in a tar is a multiple of; two empty ones are its end.
const block = 512

// Finish ends the content and gives its digest.
func (a *Archive) Finish() (string, error) {
	_, err := a.frames.Write(make([]byte, 2*block))
	sum, closed := a.frames.Close()
	return sum, errors.Join(err, closed)
}

// Close writes the manifest behind the content, where there is one, and makes the archive durable.
func (a *Archive) Close(manifest []byte) error {
	if manifest == nil {
		a.frames.Close()
		return a.file.Close()
	}
	b := append(head(len(manifest)), manifest...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(manifest)))
	_, err := a.file.Write(append(b, signature...))
	if err == nil {
		err = a.file.Sync()
	}
	return errors.Join(err, a.file.Close())
}

// head begins the frame of a manifest.
func head(n int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, skippable)
	return binary.LittleEndian.AppendUint32(b, uint32(n+footer))
}

// trailer reads an archive's manifest, and how many bytes of content stand before it.
func trailer(f host.FS, name string) (manifest []byte, content int64, err error) {
	file, err := f.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, err
	}
	end := make([]byte, footer)
	if err := readAt(file, end, size-int64(footer)); err != nil || string(end[4:]) != signature {
		return nil, 0, errors.Join(errNoBackup, err)
	}
	n := int64(binary.LittleEndian.Uint32(end))
	content = size - int64(footer) - n - 8
	if content < 0 || n > maxManifest {
		return nil, 0, errors.New("it is cut off")
	}
	framed := make([]byte, 8+n)
	if err := readAt(file, framed, content); err != nil {
		return nil, 0, err
	}
	if !bytes.Equal(framed[:8], head(int(n))) {
		return nil, 0, errors.New("its manifest is damaged")
	}
	return framed[8:], content, nil
}

func readAt(f host.File, b []byte, offset int64) error {
	if offset < 0 {
		return nil
	}
	_, err := f.Seek(offset, io.SeekStart)
	if err == nil {
		_, err = io.ReadFull(f, b)
	}
	return err
}

// ReadArchive visits what is in a backup's archive, in its order. Names that are absolute or lead out, and what is no
// file, folder or link, are an error, and so is content that has another digest than when it was written.
func ReadArchive(ctx context.Context, f host.FS, b Backup, visit func(e host.Entry, in io.Reader) error) error {
	_, content, err := trailer(f, b.Path)
	if err != nil {
		return err
	}
	file, err := f.Open(b.Path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := newSum()
	in := &reader{ctx, io.LimitReader(file, content), sum}
	plain, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxFrame))
	if err != nil {
		return err
	}
	defer plain.Close()
	err = entries(tar.NewReader(plain), visit)
	if err == nil {
		_, err = io.Copy(io.Discard, plain)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil && sumOf(sum) != b.Content {
		err = errors.New("its content is not what was written")
	}
	return err
}

func entries(in *tar.Reader, visit func(e host.Entry, in io.Reader) error) error {
	for {
		h, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		e := host.Entry{Path: strings.TrimSuffix(h.Name, "/"), Mode: fs.FileMode(h.Mode).Perm()}
		if !fs.ValidPath(e.Path) || path.Clean(e.Path) != e.Path || e.Path == "." {
			return fmt.Errorf("%q is no place in it", h.Name)
		}
		switch h.Typeflag {
		case tar.TypeReg:
			e.Size = h.Size
		case tar.TypeDir:
			e.Mode |= fs.ModeDir
		case tar.TypeSymlink:
			e.Mode, e.Link = fs.ModeSymlink|e.Mode, h.Linkname
		default:
			return fmt.Errorf("%q is no file, folder or link", h.Name)
		}
		if err := visit(e, in); err != nil {
			return err
		}
	}
}

// reader ends a reading when its context does, and digests what was read.
type reader struct {
	ctx context.Context
	io.Reader
	sum hash.Hash
}

func (r *reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	n, err := r.Reader.Read(p)
	r.sum.Write(p[:n])
	return n, err
}
