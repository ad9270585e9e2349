package smoke

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

func contextOf(t *testing.T, h *heard) (context.Context, context.CancelCauseFunc) {
	return context.WithCancelCause(op.WithSpeaker(t.Context(), h))
}

func TestJUnit(t *testing.T) {
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/good" {
			w.WriteHeader(500)
			io.WriteString(w, "<&\x00\x1b]]>\"é")
		}
	})
	optional := page("/optional")
	optional.Optional = true
	h := machine(t)
	run := Run{Tests: []Test{page("/good"), page("/<bad>"), optional}, Base: base, Version: "1.2.0", JUnit: "out/smoke.xml", Within: op.Duration(time.Minute)}
	if _, err := run.Do(t.Context(), h); err == nil || !strings.HasPrefix(err.Error(), "1 of 3 smoke tests failed") {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(h.Project, "out", "smoke.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var s suite
	if err := xml.Unmarshal(text, &s); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if s.Tests != 3 || s.Failures != 1 || s.Skipped != 1 || len(s.Cases) != 3 || s.Properties[1] != (property{"version", "1.2.0"}) {
		t.Errorf("%s", text)
	}
	good, bad, skipped := s.Cases[0], s.Cases[1], s.Cases[2]
	if good.Failure != nil || good.Skipped != nil || bad.Name != "GET /<bad>" || bad.Failure == nil || skipped.Failure != nil || skipped.Skipped == nil {
		t.Errorf("%s", text)
	}
	if want := `want 200, got 500: <&\x00\x1b]]>"é`; bad.Failure.Message != want || skipped.Skipped.Message != "optional: "+want {
		t.Errorf("%s", text)
	}
}

// A report that cannot be written is refused before any test runs.
func TestJUnitStaysInside(t *testing.T) {
	asked := 0
	base := serve(t, func(http.ResponseWriter, *http.Request) { asked++ })
	h := machine(t)
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(h.Project, "link")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"../smoke.xml":                        "cannot write ../smoke.xml: it is outside the project",
		filepath.Join(elsewhere, "smoke.xml"): "it is outside the project",
		"link/smoke.xml":                      "is a symbolic link",
		"link":                                "it is a symbolic link",
		".runner/smoke.xml":                   ".runner holds what runner keeps about its runs",
	} {
		_, err := Run{Tests: []Test{page("/")}, Base: base, JUnit: path, Within: perTry}.Do(t.Context(), h)
		if err == nil || !strings.Contains(err.Error(), want) || asked > 0 {
			t.Errorf("%s: %v; %d asked", path, err, asked)
		}
	}
	if left, _ := os.ReadDir(elsewhere); len(left) > 0 {
		t.Errorf("written: %v", left)
	}
	if err := os.WriteFile(filepath.Join(h.Project, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Run{Tests: []Test{page("/")}, Base: base, JUnit: "file/smoke.xml", Within: perTry}).Do(t.Context(), h); err == nil || !strings.HasPrefix(err.Error(), "cannot write file/smoke.xml: ") {
		t.Error(err)
	}
}

// A server, and a program, that say the secrets which they were given cannot have them shown.
func TestNoSecretIsShown(t *testing.T) {
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(500)
		got := r.Header.Get("Authorization")
		fmt.Fprintf(w, "%s %s", got, base64.StdEncoding.EncodeToString([]byte(got)))
	})
	headers := map[string]secret.Text{"Authorization": secret.Env("TOKEN")}
	p, c, l, x := page("/"), call("x"), timed(time.Second, 2), program("sh", "-c", "echo $T; exit 3")
	p.Headers, c.Headers, l.Headers, x.Env = headers, headers, headers, map[string]secret.Text{"T": secret.Env("TOKEN")}
	h, out := machine(t), &heard{}
	r, err := Run{Tests: []Test{p, c, l, x}, Base: base, JUnit: "smoke.xml", Within: op.Duration(time.Minute)}.Do(op.WithSpeaker(t.Context(), out), h)
	if err == nil || r.Failed != 4 {
		t.Fatalf("%+v, %v", r, err)
	}
	file, ferr := os.ReadFile(filepath.Join(h.Project, "smoke.xml"))
	data, jerr := json.Marshal(r)
	if ferr != nil || jerr != nil || len(file) == 0 {
		t.Fatal(ferr, jerr)
	}
	for _, text := range []string{err.Error(), strings.Join(out.lines, "\n"), string(file), string(data)} {
		if strings.Contains(text, token) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(token))[:16]) {
			t.Errorf("shown: %s", text)
		}
		if !strings.Contains(text, "secret TOKEN") {
			t.Errorf("not even its name: %s", text)
		}
	}
}
