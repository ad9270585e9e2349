package script

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var expectation = regexp.MustCompile(`### (".*")`)

// TestChunks runs the scripts of testdata/*.star, which are parted by ---. A comment such as ### "regexp" says which
// error its line ends with; a chunk without one ends well.
func TestChunks(t *testing.T) {
	files, err := filepath.Glob("testdata/*.star")
	if err != nil || len(files) == 0 {
		t.Fatal("no chunks", err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		line := 1
		for chunk := range strings.SplitSeq(string(src), "---\n") {
			t.Run(fmt.Sprintf("%s:%d", filepath.Base(file), line), func(t *testing.T) { runChunk(t, chunk) })
			line += strings.Count(chunk, "\n") + 1
		}
	}
}

func runChunk(t *testing.T, chunk string) {
	at, want := "", ""
	for i, l := range strings.Split(chunk, "\n") {
		if m := expectation.FindStringSubmatch(l); m != nil {
			var err error
			if want, err = strconv.Unquote(strings.ReplaceAll(m[1], `\`, `\\`)); err != nil {
				want = strings.ReplaceAll(strings.Trim(m[1], `"`), `\"`, `"`)
			}
			at = fmt.Sprintf("deploy.star:%d:", i+1)
		}
	}
	o := open(t, map[string]string{"deploy.star": chunk}, "deploy.star", func(o *Options) { o.Plan = strings.HasPrefix(chunk, "# plan") })
	err := o.main(t.Context())
	switch {
	case err == nil && want != "":
		t.Errorf("no error at %s %s", at, want)
	case err != nil && want == "":
		t.Error(Diagnose(err))
	case err != nil:
		r := Diagnose(err)
		if ok, bad := regexp.MatchString(want, r.Message); !ok || bad != nil || !strings.HasPrefix(r.At, at) {
			t.Errorf("got %swant %s %s (%v)", r, at, want, bad)
		}
	}
}
