package backups

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/releases"
)

// large is a site on a disk whose live release has 200 MB in 5,000 files: half of each is noise, half text.
func large(b *testing.B) *site {
	b.Helper()
	dir, err := os.MkdirTemp("", "backups")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	s := siteIn(b, dir)
	r := rand.NewChaCha8([32]byte{})
	built := filepath.Join(dir, "built")
	for i := range 5000 {
		noise := make([]byte, 20<<10)
		r.Read(noise)
		text := strings.Repeat(fmt.Sprintf("-module(m%d). -export([init/1, terminate/2]). ", i), 20<<10)[:20<<10]
		s.write(filepath.Join(built, fmt.Sprintf("lib/app%02d/ebin%d/m%d.beam", i/100, i%5, i)), string(noise)+text, 0o644)
	}
	s.activate(s.install(releases.Install{Artifact: s.made("1", built)}).ID)
	return s
}

// against measures create, turn by turn with a rival, and reports both medians and their ratio.
func against(b *testing.B, archive bool, name, rival string) {
	s := large(b)
	target := s.path("rival")
	var ours, theirs []time.Duration
	measure := func(do func() error) time.Duration {
		b.Helper()
		s.must(exec.CommandContext(b.Context(), "sync").Run())
		began := time.Now()
		s.must(do())
		return time.Since(began)
	}
	for b.Loop() {
		var made *Backup
		ours = append(ours, measure(func() (err error) {
			made, err = Create{Root: s.root, Kind: "backup", Archive: archive, Key: s.key()}.Do(context.Background(), s.h)
			return err
		}))
		theirs = append(theirs, measure(func() error {
			cmd := exec.CommandContext(b.Context(), "sh", "-c", rival, "sh", s.path("releases/000001"), target)
			out, err := cmd.CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s: %w: %s", name, err, out)
			}
			return nil
		}))
		s.must(os.RemoveAll(made.Path))
		s.must(os.RemoveAll(target))
		if archive {
			b.ReportMetric(float64(made.Size), "bytes-content")
		}
	}
	b.ReportMetric(float64(median(ours).Milliseconds()), "ms-runner")
	b.ReportMetric(float64(median(theirs).Milliseconds()), "ms-"+name)
	b.ReportMetric(float64(median(ours))/float64(median(theirs)), "x-"+name)
}

func median(d []time.Duration) time.Duration {
	out := append([]time.Duration(nil), d...)
	for i := range out {
		for j := i; j > 0 && out[j] < out[j-1]; j-- {
			out[j], out[j-1] = out[j-1], out[j]
		}
	}
	return out[len(out)/2]
}

// BenchmarkCreate is a folder, hashed and durable, against cp: without a sync, which leaves it to luck, and with one.
func BenchmarkCreate(b *testing.B) {
	b.Run("lucky", func(b *testing.B) { against(b, false, "cp", `cp -a "$1" "$2"`) })
	b.Run("durable", func(b *testing.B) { against(b, false, "cp+sync", `cp -a "$1" "$2" && sync -f "$2"`) })
}

// BenchmarkArchive is one file, its parts hashed, durable, against tar and zstd.
func BenchmarkArchive(b *testing.B) {
	for _, program := range []string{"tar", "zstd"} {
		if _, err := exec.LookPath(program); err != nil {
			b.Fatalf("THE RIVAL IS MISSING: there is no %s on this machine, and nothing was compared", program)
		}
	}
	b.Run("lucky", func(b *testing.B) { against(b, true, "tar-zstd", `tar -C "$1" -cf - . | zstd -q -T2 -o "$2"`) })
	b.Run("durable", func(b *testing.B) {
		against(b, true, "tar-zstd+sync", `tar -C "$1" -cf - . | zstd -q -T2 -o "$2" && sync "$2"`)
	})
}

// BenchmarkVerify reads it all back.
func BenchmarkVerify(b *testing.B) {
	s := large(b)
	made := s.create(Create{})
	for b.Loop() {
		s.must(s.verify(made.Name))
	}
	b.SetBytes(int64(made.Size))
}
