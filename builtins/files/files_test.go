package files

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/host/hosttest"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

func newHost(t *testing.T, files map[string]string) *host.Host {
	vault := &secret.Vault{Getenv: os.LookupEnv, ReadFile: os.ReadFile, Scrubber: &secret.Scrubber{}}
	h := &host.Host{Files: host.OS{}, Secrets: vault, Project: t.TempDir()}
	h.Scratch = filepath.Join(h.Project, ".runner/scratch")
	must(t, os.MkdirAll(h.Scratch, 0o700))
	for name, text := range files {
		must(t, os.MkdirAll(filepath.Dir(h.Abs(name)), 0o755))
		must(t, os.WriteFile(h.Abs(name), []byte(text), 0o644))
	}
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fails wants an error of one line that begins with want.
func fails(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("want %q, got %v", want, err)
	}
}

func content(t *testing.T, h *host.Host, name string) string {
	t.Helper()
	b, err := os.ReadFile(h.Abs(name))
	must(t, err)
	return string(b)
}

func TestRead(t *testing.T) {
	h := newHost(t, map[string]string{"config.yaml": "a: 1\n", "big": strings.Repeat("x", 100), "binary": "\xff\xfe", "dir/f": ""})
	do := func(path string) (string, error) { return Read{Path: path, Limit: 50}.Do(t.Context(), h) }
	if text, err := do("config.yaml"); text != "a: 1\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	_, err := do("config.yml")
	fails(t, err, "cannot read config.yml: it does not exist")
	if op.HintOf(err) != "did you mean config.yaml?" {
		t.Errorf("hint %q", op.HintOf(err))
	}
	must(t, syscall.Mkfifo(h.Abs("pipe"), 0o644))
	for path, want := range map[string]string{
		"dir":    "cannot read dir: it is a directory",
		"big":    "cannot read big: it has 100B, more than the limit of 50B",
		"binary": "cannot read binary: it is no UTF-8 text",
		"pipe":   "cannot read pipe: it is a pipe",
	} {
		_, err := do(path)
		fails(t, err, want)
	}
	faults := hosttest.NewFaults(host.OS{})
	faults.Fail("open", "config.yaml", syscall.EACCES)
	h.Files = faults
	_, err = do("config.yaml")
	fails(t, err, "cannot read config.yaml: permission denied")
}

func TestWrite(t *testing.T) {
	t.Setenv("TOKEN", "canary-71c1b2")
	h := newHost(t, nil)
	made, err := Write{Path: "out/deep/f", Content: secret.Plain("hello\n")}.Do(t.Context(), h)
	if err != nil || made.Path != h.Abs("out/deep/f") || made.Size != 6 || content(t, h, "out/deep/f") != "hello\n" {
		t.Errorf("%+v, %v", made, err)
	}
	if d, err := (Digest{Path: "out/deep/f"}).Do(t.Context(), h); d != made.Digest || err != nil {
		t.Errorf("%s, not %s, %v", d, made.Digest, err)
	}
	for mode, w := range map[os.FileMode]Write{
		0o644: {Path: "a", Content: secret.Plain("x")},
		0o755: {Path: "b", Content: secret.Plain("x"), Mode: "0755"},
		0o600: {Path: "c", Content: secret.Env("TOKEN")},
	} {
		if made, err := w.Do(t.Context(), h); err != nil || w.Content.IsSecret() != (made.Digest == "") {
			t.Errorf("%+v, %v", made, err)
		}
		if info, err := os.Stat(h.Abs(w.Path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s is %v, want %v", w.Path, info.Mode(), mode)
		}
	}
	if content(t, h, "c") != "canary-71c1b2" {
		t.Error("the secret is not in its file")
	}
	for _, w := range []Write{
		{Path: "a", Mode: "rw"}, {Path: "a", Mode: "0444"}, {Path: "a", Mode: "04755"},
		{Path: "a", Mode: "0640", Content: secret.Env("TOKEN")},
	} {
		fails(t, w.Check(), "mode: ")
	}
}

// Whatever fails, and wherever: a reader finds the old content, whole.
func TestFailedWriteKeepsOld(t *testing.T) {
	for _, call := range []string{"create", "write", "chmod", "sync", "close", "rename"} {
		h := newHost(t, map[string]string{"f": "old"})
		faults := hosttest.NewFaults(host.OS{})
		suffix := ".f.new"
		if call == "rename" {
			suffix = "/f"
		}
		faults.Fail(call, suffix, syscall.ENOSPC)
		h.Files = faults
		_, err := Write{Path: "f", Content: secret.Plain("new content")}.Do(t.Context(), h)
		fails(t, err, "cannot write f: no space left on device")
		if content(t, h, "f") != "old" || faults.Met() == 0 {
			t.Errorf("%s: the file holds %q", call, content(t, h, "f"))
		}
		if _, err := os.Stat(h.Abs(".f.new")); err == nil {
			t.Errorf("%s: a temporary file is left", call)
		}
	}
}

func TestWriteStaysInside(t *testing.T) {
	h := newHost(t, map[string]string{
		"dir/f": "", "targets/dev/.runner/lease": "", "targets/dev/current/x": "", ".runner/runs/1": "", "plain": ""})
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "f"), []byte("old"), 0o644))
	must(t, os.Symlink(outside, h.Abs("out")))
	must(t, os.Symlink(filepath.Join(outside, "f"), h.Abs("link")))
	for path, want := range map[string]string{
		"../x":                  "outside the project",
		"/etc/x":                "outside the project",
		".":                     "outside the project",
		"a/../../x":             "outside the project",
		h.Project + "-other/x":  "outside the project",
		"out/f":                 "out is a symbolic link",
		"link":                  "a symbolic link",
		"dir":                   "a directory",
		"plain/x":               "plain is no directory",
		".runner/runs/2":        "holds what runner keeps",
		".runner":               "holds what runner keeps",
		"targets/dev/current/x": "is the root of a deployment",
		"targets/dev/shared/x":  "is the root of a deployment",
	} {
		_, err := Write{Path: path, Content: secret.Plain("new")}.Do(t.Context(), h)
		if fails(t, err, "cannot write "+path+": "); err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := (Copy{Source: "plain", To: path}).Do(t.Context(), h); err == nil {
			t.Errorf("%s is copied to", path)
		}
	}
	if b, _ := os.ReadFile(filepath.Join(outside, "f")); string(b) != "old" {
		t.Errorf("outside is %q", b)
	}
	if _, err := (Write{Path: filepath.Join(h.Scratch, "x"), Content: secret.Plain("")}).Do(t.Context(), h); err != nil {
		t.Errorf("scratch: %v", err)
	}
}

func TestRemove(t *testing.T) {
	h := newHost(t, map[string]string{"d/e/f": "", "f": "", "targets/dev/.runner/lease": ""})
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "kept"), nil, 0o644))
	must(t, os.Symlink(outside, h.Abs("d/link")))
	must(t, os.Symlink(outside, h.Abs("link")))
	for _, path := range []string{"f", "d", "link"} {
		if there, err := (Remove{Path: path}).Preview(t.Context(), h); err != nil || !there {
			t.Errorf("%s: foreseen %v, %v", path, there, err)
		}
		for _, want := range []bool{true, false} {
			if there, err := (Remove{Path: path}).Do(t.Context(), h); err != nil || there != want {
				t.Errorf("%s: %v, %v", path, there, err)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(outside, "kept")); err != nil {
		t.Error("what a link led to is gone")
	}
	for _, path := range []string{".", "..", "targets", "targets/dev", "targets/dev/.runner", ".runner", outside} {
		_, err := Remove{Path: path}.Do(t.Context(), h)
		fails(t, err, "cannot remove "+path+": ")
	}
	if _, err := os.Stat(h.Abs("targets/dev/.runner/lease")); err != nil {
		t.Error("a root lost its lease")
	}
}

func TestCopy(t *testing.T) {
	h := newHost(t, map[string]string{"d/bin/app": "program", "d/conf": "1", "f": "old"})
	must(t, os.Chmod(h.Abs("d/bin/app"), 0o755))
	must(t, os.Symlink("bin/app", h.Abs("d/link")))
	want, _ := Digest{Path: "d"}.Do(t.Context(), h)
	foreseen, err := Copy{Source: "d", To: "out/e"}.Preview(t.Context(), h)
	must(t, err)
	made, err := Copy{Source: "d", To: "out/e"}.Do(t.Context(), h)
	if err != nil || made.Digest != want || made != foreseen {
		t.Errorf("%+v, foreseen %+v, %v", made, foreseen, err)
	}
	if _, err := (Copy{Source: "d/conf", To: "f"}).Do(t.Context(), h); err != nil || content(t, h, "f") != "1" {
		t.Errorf("over a file: %v", err)
	}
	for to, want := range map[string]string{"out/e": "cannot write out/e: it is a directory", "d/x": "cannot copy d to d/x: it would be a copy into itself"} {
		_, err := Copy{Source: "d", To: to}.Do(t.Context(), h)
		fails(t, err, want)
	}
	_, err = Copy{Source: "dd", To: "x"}.Do(t.Context(), h)
	fails(t, err, "cannot copy dd: it does not exist")
	if _, err := (Copy{Source: "dd", To: "x"}).Preview(t.Context(), h); err != op.ErrUnknown {
		t.Errorf("preview of what is not there yet: %v", err)
	}
	must(t, os.Symlink("/etc/passwd", h.Abs("d/leak")))
	_, err = Copy{Source: "d", To: "y"}.Do(t.Context(), h)
	fails(t, err, "cannot copy d: "+h.Abs("d/leak")+": it is a link to /etc/passwd")
	if left, _ := filepath.Glob(h.Abs(".*.new")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestGlob(t *testing.T) {
	h := newHost(t, map[string]string{"a.conf": "", "b.conf": "", "conf/a/x.conf": "", "conf/a/b/y.conf": "", "conf/z.conf": "",
		".git/x.conf": "", "od*d/[x].conf": "", "odd/x.conf": "", ".hidden.conf": ""})
	must(t, os.Symlink(h.Abs("conf"), h.Abs("loop")))
	for pattern, want := range map[string][]string{
		"*.conf":          {"a.conf", "b.conf"},
		"conf/*":          {"conf/a", "conf/z.conf"},
		"conf/**/*.conf":  {"conf/a/b/y.conf", "conf/a/x.conf", "conf/z.conf"},
		"conf/**":         {"conf/a", "conf/a/b", "conf/a/b/y.conf", "conf/a/x.conf", "conf/z.conf"},
		"**/**/y.conf":    {"conf/a/b/y.conf"},
		"**/z.conf":       {"conf/z.conf"},
		`od\*d/*`:         {"od*d/[x].conf"},
		`od*d/\[x\].conf`: {"od*d/[x].conf"},
		"[ab].conf":       {"a.conf", "b.conf"},
		".*.conf":         {".hidden.conf"},
		".git/*":          {".git/x.conf"},
		"./a.conf":        {"a.conf"},
		"nowhere/*":       nil,
		"a.conf/*":        nil,
		"conf/a/x.conf":   {"conf/a/x.conf"},
	} {
		g := Glob{Pattern: pattern}
		must(t, g.Check())
		if got, err := g.Do(t.Context(), h); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", pattern, got, err)
		}
	}
	for _, pattern := range []string{"", "/etc/*", "../*", "a/../../*", "**/..", "[a", "x/[a-/y", `a\`} {
		fails(t, Glob{Pattern: pattern}.Check(), "pattern: ")
	}
	faults := hosttest.NewFaults(host.OS{})
	faults.Fail("readdir", "conf/a", syscall.EACCES)
	h.Files = faults
	_, err := Glob{Pattern: "**/*.conf"}.Do(t.Context(), h)
	fails(t, err, "cannot list **/*.conf: "+h.Abs("conf/a")+": permission denied")
}

func TestDisk(t *testing.T) {
	h := newHost(t, map[string]string{"f": ""})
	for path, asked := range map[string]string{"": h.Project, "not/yet": h.Project, "f/x": h.Abs("f")} {
		s, err := Disk{Path: path}.Do(t.Context(), h)
		if err != nil || s.Path != asked || s.Bytes <= 0 || s.Inodes == 0 {
			t.Errorf("%q: %+v, %v", path, s, err)
		}
	}
}

func TestTemplate(t *testing.T) {
	h := newHost(t, map[string]string{"web.conf": "a\nport = {{.port}}\n", "latin": "\xff", "loop": `{{define "x"}}{{template "x"}}{{end}}{{template "x"}}`})
	do := func(tm Template) (string, error) {
		if err := tm.Check(); err != nil {
			return "", err
		}
		return tm.Do(t.Context(), h)
	}
	values := map[string]any{"port": int64(8080), "big": 1e6, "db": map[string]any{"host": "x"}, "on": true, "list": []any{"a", "b"}, "none": nil}
	for text, want := range map[string]string{
		"{{.port}} {{.big}} {{.db.host}} {{.on}}":       "8080 1000000 x true",
		"{{range .list}}<{{.}}>{{end}}":                 "<a><b>",
		`{{if .on}}{{printf "%q" .db.host}}{{end}}`:     `"x"`,
		"{{index .list 1}} {{len .list}} {{.none}} end": "b 2 <no value> end",
	} {
		if got, err := do(Template{Text: text, Values: values}); got != want || err != nil {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for want, tm := range map[string]Template{
		`cannot fill in web.conf:2: there is no value "port"`:    {Path: "web.conf", Values: map[string]any{"prot": 1}},
		`cannot fill in text:3: there is no value "hots"`:        {Text: "\n\n{{.db.hots}}", Values: values},
		`cannot fill in text:2: there is no value "x"`:           {Text: "\n{{if .x}}{{end}}", Values: values},
		`cannot fill in text:1: missing value for if`:            {Text: "{{if}}", Values: values},
		`cannot fill in text:1: function "env" not defined`:      {Text: `{{env "HOME"}}`},
		`cannot fill in loop:1: exceeded maximum template depth`: {Path: "loop"},
		"cannot fill in text:1: error calling index":             {Text: "{{index .list 9}}", Values: values},
		"cannot fill in text: it comes to more than 1MiB":        {Text: `{{range 2000000}}xx{{end}}`},
		"cannot read wb.conf: it does not exist":                 {Path: "wb.conf"},
		"path: give either path or text":                         {Path: "a", Text: "b"},
		`values["a"]: [0]: a secret cannot go into a text`:       {Text: "x", Values: map[string]any{"a": []any{secret.Env("A")}}},
		`values["a"]: want strings, numbers`:                     {Text: "x", Values: map[string]any{"a": struct{}{}}},
	} {
		_, err := do(tm)
		fails(t, err, want)
	}
	_, err := do(Template{Path: "web.conf", Values: map[string]any{"prot": int64(1)}})
	if op.HintOf(err) != "did you mean prot?" {
		t.Errorf("hint %q", op.HintOf(err))
	}
}
