package build

import (
	"cmp"
	"debug/buildinfo"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/erlmcp/runner/runtime/host"
)

// programVersion is the version that a Go program says it was built as, "" where it says none. A folder has that of the
// programs in it and in its bin, where they agree.
func programVersion(f host.FS, name string) string {
	info, err := f.Stat(name)
	if err != nil {
		return ""
	}
	if !info.IsDir() {
		return goVersion(f, name)
	}
	found := ""
	for _, dir := range []string{name, filepath.Join(name, "bin")} {
		files, _ := list(f, dir)
		for _, file := range files {
			v := goVersion(f, filepath.Join(dir, file))
			if v != "" && found != "" && v != found {
				return ""
			}
			if v != "" {
				found = v
			}
		}
	}
	return found
}

func goVersion(f host.FS, name string) string {
	if info, err := f.Stat(name); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return ""
	}
	file, err := f.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return ""
	}
	defer file.Close()
	info, err := buildinfo.Read(readerAt{file})
	if err != nil {
		return ""
	}
	return toldVersion(info)
}

// readerAt reads a file that nobody else reads.
type readerAt struct{ host.File }

// ReadAt implements io.ReaderAt.
func (r readerAt) ReadAt(b []byte, off int64) (int, error) {
	if _, err := r.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(r.File, b)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

var (
	stampedVersion = regexp.MustCompile(`-X[= ]['"]?(\S+\.(?i:version))=([^\s'"]*)`)
	pseudoVersion  = regexp.MustCompile(`[0-9]{14}-[0-9a-f]{12}`)
)

// toldVersion is what the linker was told to write into a variable called version, that of main before others, else the
// tag that the module was built at. A version that go has made up of a commit is none that the program would name.
func toldVersion(info *debug.BuildInfo) string {
	program, others := "", map[string]bool{}
	for _, s := range info.Settings {
		if s.Key != "-ldflags" {
			continue
		}
		for _, m := range stampedVersion.FindAllStringSubmatch(s.Value, -1) {
			if strings.HasPrefix(m[1], "main.") {
				program = m[2]
			}
			others[m[2]] = true
		}
	}
	for v := range others {
		if v = cmp.Or(program, v); checkVersion("", v) == nil && (program != "" || len(others) == 1) {
			return v
		}
	}
	if v := info.Main.Version; strings.HasPrefix(v, "v") && !pseudoVersion.MatchString(v) && !strings.HasSuffix(v, "+dirty") {
		return v
	}
	return ""
}
