package record

import "github.com/klauspost/compress/zstd"

// maxData is the most memory that a record may take when it is read.
const maxData = 1 << 30

// Compress makes data small, as a register stores it.
func Compress(data []byte) []byte {
	// Nothing can be wrong with these options.
	w, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
	defer w.Close()
	return w.EncodeAll(data, nil)
}

// Expand is what Compress made small. What would take over 1 GiB of memory is an error.
func Expand(packed []byte) ([]byte, error) {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxData))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.DecodeAll(packed, nil)
}
