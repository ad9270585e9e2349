package builtin

import (
	"os"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/op"
)

func TestPages(t *testing.T) {
	r := NewReference(testFamilies())
	page, err := r.Lookup("app")
	if err != nil {
		t.Fatal(err)
	}
	golden := "testdata/app.md"
	if os.Getenv("UPDATE") != "" {
		os.MkdirAll("testdata", 0o755)
		os.WriteFile(golden, []byte(page), 0o644)
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != page {
		t.Errorf("the page is now\n%s", page)
	}
	for _, name := range []string{"app.deploy", "unit", "app.token"} {
		one, err := r.Lookup(name)
		if err != nil || !strings.Contains(page, one) {
			t.Errorf("%s: %v\n%s", name, err, one)
		}
	}
	for name, near := range map[string]string{"app.deplyo": "app.deploy", "ap": "app", "unti": "unit"} {
		if _, err := r.Lookup(name); err == nil || !strings.Contains(err.Error(), "did you mean "+near) || op.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if readme := r.README(); !strings.Contains(readme, page) || !strings.Contains(readme, "    app  Applications.\n") {
		t.Errorf("the README is\n%s", readme)
	}
}
