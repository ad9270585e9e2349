package backups

import (
	"context"
	fresh "crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/erlmcp/runner/builtins/releases"
	"github.com/erlmcp/runner/runtime/op"
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

// A rival is a shell script that copies $1 to $2.
type rival struct{ name, script string }

// against measures create and its rivals, turn by turn, and reports the medians of what each took, by the clock and of the
// processors, and of the ratios of the turns. Who begins changes from turn to turn. Nothing is removed before the end: for
// minutes after many files were deleted, ext4 searches long for the number of each new one. As in life, no key comes twice: what
// a folder is called says where on the disk it lies.
func against(b *testing.B, archive bool, rivals ...rival) {
	s := large(b)
	copies := func(script, target string) error {
		out, err := exec.CommandContext(b.Context(), "sh", "-c", script, "sh", s.path("releases/000001"), target).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", script, err, out)
		}
		return nil
	}
	creates := func() (string, error) {
		made, err := Create{Root: s.root, Kind: "backup", Archive: archive, Key: op.Key(fresh.Text() + "/1")}.Do(context.Background(), s.h)
		if err != nil {
			return "", err
		}
		return made.Path, nil
	}
	took, ratios, size := make([][]float64, len(rivals)+1), make([][]float64, len(rivals)+1), make([]float64, len(rivals)+1)
	worked := make([][]float64, len(rivals)+1)
	for turn := 0; b.Loop(); turn++ {
		for i := range took {
			i = (i + turn) % len(took)
			s.must(exec.CommandContext(b.Context(), "sync").Run())
			var name string
			var err error
			began, before := time.Now(), work(unix.RUSAGE_SELF)+work(unix.RUSAGE_CHILDREN)
			if i == 0 {
				name, err = creates()
			} else {
				name = s.path(fmt.Sprintf("%s-%d", rivals[i-1].name, turn))
				err = copies(rivals[i-1].script, name)
			}
			took[i] = append(took[i], time.Since(began).Seconds()*1000)
			worked[i] = append(worked[i], work(unix.RUSAGE_SELF)+work(unix.RUSAGE_CHILDREN)-before)
			s.must(err)
			gone := s.path(fmt.Sprintf("%d-%d", turn, i)) // each create finds the same
			s.must(os.Rename(name, gone))
			size[i] = leaves(b, gone)
		}
		for i := range took {
			ratios[i] = append(ratios[i], took[0][turn]/took[i][turn])
		}
	}
	b.ReportMetric(0, "ns/op") // of a whole turn, and of setting up: it says nothing
	b.ReportMetric(median(took[0]), "ms-runner")
	b.ReportMetric(median(worked[0]), "cpu-ms-runner")
	b.ReportMetric(size[0]/1e6, "MB-runner")
	for i, r := range rivals {
		b.ReportMetric(median(took[i+1]), "ms-"+r.name)
		b.ReportMetric(median(worked[i+1]), "cpu-ms-"+r.name)
		b.ReportMetric(size[i+1]/1e6, "MB-"+r.name)
		b.ReportMetric(median(ratios[i+1]), "x-"+r.name)
	}
}

// work is the time that the processors have spent on this process, or on those that it has waited for, in milliseconds.
// What else the machine does matters to it less than to the clock. What the kernel writes to the disk for them is not in it.
func work(who int) float64 {
	var use unix.Rusage
	if err := unix.Getrusage(who, &use); err != nil {
		panic(err)
	}
	return float64(use.Utime.Nano()+use.Stime.Nano()) / 1e6
}

// leaves writes a copy to the disk, drops it from memory, for the next to find as much there, and gives its size.
func leaves(b *testing.B, name string) (size float64) {
	b.Helper()
	err := filepath.WalkDir(name, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		size += float64(info.Size())
		return errors.Join(err, f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	})
	if err != nil {
		b.Fatal(err)
	}
	return size
}

func median(of []float64) float64 { return slices.Sorted(slices.Values(of))[len(of)/2] }

// BenchmarkCreate is a folder, hashed and durable, against cp: with a sync, and without one, which leaves it to luck.
func BenchmarkCreate(b *testing.B) {
	against(b, false, rival{"cp", `cp -a "$1" "$2"`}, rival{"cp+sync", `cp -a "$1" "$2" && sync -f "$2"`})
}

// BenchmarkArchive is one file, its parts hashed, durable, against tar and zstd.
func BenchmarkArchive(b *testing.B) {
	for _, program := range []string{"tar", "zstd"} {
		if _, err := exec.LookPath(program); err != nil {
			b.Fatalf("THE RIVAL IS MISSING: there is no %s on this machine, and nothing was compared", program)
		}
	}
	against(b, true, rival{"tar-zstd", `tar -C "$1" -cf - . | zstd -q -T2 -o "$2"`},
		rival{"tar-zstd+sync", `tar -C "$1" -cf - . | zstd -q -T2 -o "$2" && sync "$2"`})
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
