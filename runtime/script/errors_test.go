package script

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the diagnostics of testdata/errors")

// TestErrors holds the errors that a new author meets first: each file is a script, what is on the command line, and
// the diagnostic that a person reads.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			given, want, _ := strings.Cut(string(data), "-- want --\n")
			got := diagnostic(t, given)
			if *update {
				if err := os.WriteFile(file, []byte(given+"-- want --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("the diagnostic is now\n%s", got)
			}
		})
	}
}

func diagnostic(t *testing.T, archive string) string {
	files := map[string]string{}
	args := []string{"production"}
	for i, part := range strings.Split("\n"+archive, "\n-- ") {
		name, data, _ := strings.Cut(part, " --\n")
		switch {
		case name == "args":
			args = strings.Fields(data)
		case i > 0:
			files[name] = strings.TrimSuffix(data, "\n") + "\n"
		}
	}
	o := open(t, files, "deploy.star", func(o *Options) { o.Limits.Steps = 1_000_000 })
	err := o.main(t.Context(), args...)
	if err == nil {
		t.Fatal("there is no error")
	}
	return Diagnose(err).String()
}
