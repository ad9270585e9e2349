package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Another user's tree is not read, and the error says why.
func TestDubiousOwnership(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	r := newRepo(t)
	r.commit("one")
	if err := os.Chown(r.dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	_, headErr := Head{}.Do(t.Context(), r.h)
	_, statusErr := Status{}.Do(t.Context(), r.h)
	_, logErr := Changelog{Until: "HEAD", Limit: 1}.Do(t.Context(), r.h)
	for _, err := range []error{headErr, statusErr, logErr} {
		if err == nil || !strings.Contains(err.Error(), "it belongs to "+host.UserName(65534)+", and runner runs as root") ||
			!strings.Contains(op.HintOf(err), "run runner as the owner") {
			t.Errorf("%v, hint %q", err, op.HintOf(err))
		}
	}
}

func TestNoGit(t *testing.T) {
	r := newRepo(t)
	r.h.Env = []string{"PATH=/nonexistent"}
	_, err := Head{}.Do(t.Context(), r.h)
	if err == nil || !strings.HasSuffix(err.Error(), "cannot start git: it is not in PATH") || op.HintOf(err) != "install git" {
		t.Errorf("%v, hint %q", err, op.HintOf(err))
	}
}

// A hook of git has variables that lead its children elsewhere.
func TestInAHook(t *testing.T) {
	r, other := newRepo(t), newRepo(t)
	r.commit("one")
	other.commit("other")
	other.write("dirt", "x")
	r.h.Env = append(r.h.Env, "GIT_DIR="+other.dir+"/.git", "GIT_WORK_TREE="+other.dir, "GIT_INDEX_FILE="+other.dir+"/x")
	if p, s := r.head(), r.status(); p.Subject != "one" || !s.Clean {
		t.Errorf("%+v, %+v", p, s)
	}
}

// Settings of a person neither change answers nor start programs.
func TestSettings(t *testing.T) {
	r := newRepo(t)
	r.commit("one ü")
	for _, kv := range []string{"log.showSignature true", "color.ui always", "core.pager touch paged", "core.fsmonitor touch ran",
		"i18n.logOutputEncoding ISO-8859-1", "log.date relative", "status.short true", "format.pretty oneline"} {
		name, value, _ := strings.Cut(kv, " ")
		r.run("git", "config", name, value)
	}
	if p, s := r.head(), r.status(); p.Subject != "one ü" || !s.Clean || r.log(Changelog{}) != "one ü" {
		t.Errorf("%+v, %+v, %q", p, s, r.log(Changelog{}))
	}
}

// A corrupt repository and a git that prints garbage are errors, not answers.
func TestGarbage(t *testing.T) {
	r := newRepo(t)
	id := r.commit("one")
	object := filepath.Join(r.dir, ".git", "objects", id[:2], id[2:])
	os.Chmod(object, 0o644)
	if err := os.WriteFile(object, []byte("garbage"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := (Head{}).Do(t.Context(), r.h); err == nil || !strings.Contains(err.Error(), "git says ") {
		t.Errorf("corrupt: %v", err)
	}
	for _, said := range []string{"", "garbage", "\\0\\0\\0\\0\\0\\0", "a\\0b\\0\\0c\\0d\\0yesterday\\0"} {
		r.fake("printf '" + said + "'")
		if p, err := (Head{}).Do(t.Context(), r.h); err == nil {
			t.Errorf("%q is %+v", said, p)
		}
	}
	r.fake("echo 1 strange; exit 0")
	if s, err := (Status{}).Do(t.Context(), r.h); err == nil {
		t.Errorf("status %+v", s)
	}
}

// fake puts a program before git.
func (r *repo) fake(script string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(r.dir), "bin", "git"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

func TestStopped(t *testing.T) {
	r := newRepo(t)
	r.fake("exec sleep 100")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("asked to stop")
	ear := waits{then: func() { cancel(why) }}
	begun := time.Now()
	_, err := Head{}.Do(op.WithSpeaker(ctx, ear), r.h)
	if took := time.Since(begun); !errors.Is(err, why) || took > 3*time.Second {
		t.Errorf("%v after %s", err, took)
	}
}

// waits calls then at the first wait.
type waits struct {
	op.Silent
	then func()
}

func (w waits) Waiting(string, time.Time) { w.then() }

// A tree with more changes than can be kept is dirty, and says how many were seen.
func TestManyChanges(t *testing.T) {
	r := newRepo(t)
	r.fake(`printf '# branch.head main\0'; yes '? a folder with a long name/a file with a long name' | head -n 400000 | tr '\n' '\0'`)
	s, err := Status{Limit: 3}.Do(t.Context(), r.h)
	if err != nil || s.Clean || len(s.Files) != 3 || s.Changed < 300000 || s.Files[0].Path != "a folder with a long name/a file with a long name" {
		t.Errorf("%v, %d, %+v, %v", s.Clean, s.Changed, s.Files, err)
	}
}

func TestCheck(t *testing.T) {
	for _, bad := range []string{"-x", "--output=/etc/passwd", "a..b", "^a", "a b", "a\nb", "a\x00"} {
		for _, c := range []Changelog{{Since: bad, Until: "HEAD", Limit: 1}, {Until: bad, Limit: 1}} {
			if err := c.Check(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", bad)) {
				t.Errorf("%+v: %v", c, err)
			}
		}
	}
}

func FuzzStatus(f *testing.F) {
	for _, s := range []string{"", "# branch.oid (initial)\x00# branch.head main\x00", "# branch.ab +1 -2\x00# branch.upstream o/m\x00",
		"1 .M N... 100644 100644 100644 a b f\x00", "2 R. N... 100644 100644 100644 a b R100 new\x00old\x00? x\x00", "2 R. N... 1 1 1 a b R100 new",
		"u UU N... 1 1 1 1 a b c f\x00", "? a\nb\x00", "1 ", "!", "1 M N... 1 1 1 a b f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		s, err := parseStatus(answer, 5)
		if err != nil {
			return
		}
		if len(s.Files) > 5 || s.Clean != (s.Changed == 0) || len(s.Files) != min(s.Changed, 5) || !s.Repository {
			t.Errorf("%+v", s)
		}
		for _, file := range s.Files {
			if file.Path == "" || file.State == "" || strings.Contains(file.Path, "\x00") {
				t.Errorf("%+v", file)
			}
		}
	})
}

func FuzzHead(f *testing.F) {
	f.Add("a\x00a\x00HEAD -> refs/heads/main, tag: refs/tags/v1.0\x00s\x00ana\x002026-01-26T13:00:00+01:00\x00")
	f.Add("\x00\x00\x00\x00\x00")
	f.Fuzz(func(t *testing.T, answer string) {
		if p, err := position(answer); err == nil && (p.Time.IsZero() && !strings.Contains(answer, "0001") || strings.Contains(p.Branch+p.Tag, ", ")) {
			t.Errorf("%+v", p)
		}
		commits(answer)
	})
}
