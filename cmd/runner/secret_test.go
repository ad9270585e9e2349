package main

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	envCanary  = "canary-5f1d6f0c-canary"                          // TOKEN of every site
	fileCanary = "first/canary+9a1b line\nsecond/canary+7c2d line" // of the file secrets/key
)

const secretEnvironments = `
def _env(within):
    return environment(
        app = "mcpd",
        build = command(["cp", "BINS/{version}", "mcpd"], output = "mcpd", env = {"BUILD_KEY": secret.file("secrets/key")}),
        target = host(root = "target", service = process(
            ["sh", "-c", "echo service has $TOKEN and $AUTH; exec bin/mcpd"],
            port = PORT,
            grace = "2s",
            env = {
                "TOKEN": secret.env("TOKEN"),
                "KEY": secret.file("secrets/key"),
                "AUTH": secret.format("Bearer {}", secret.env("TOKEN")),
            },
        )),
        health = probe("/health", within = within),
    )

production = _env("10s")
doomed = _env("400ms")
`

const leaky = `
load("@std/project.star", "build_app")

# As is, in an error's text, as base64 with and without a neighbour, escaped for a URL, line by line, from stdin.
_ECHO = """
echo "$A"; echo "$B" >&2; echo "$C"; cat
printf %s "$A" | base64; printf 'user:%s' "$A" | base64 -w0; echo
printf %s "$B" | base64 -w0; echo; printf %s "$D" | base64
echo "$B" | while read line; do echo "got $line"; done
printf %s "$B" | sed 's,/,%2F,g; s,+,%2B,g; s, ,+,g'; echo
"""

def _secrets():
    return {"A": secret.env("TOKEN"), "B": secret.file("secrets/key"), "C": secret.format("Bearer {}", secret.env("TOKEN")), "D": secret.file("secrets/long")}

def _echo(code):
    return shell.run(["sh", "-c", _ECHO + "exit %d" % code], env = _secrets(), stdin = secret.file("secrets/key"), leaves = "nothing")

def _seen(text):
    for part in ["5f1d" + "6f0c", "9a" + "1b", "7c" + "2d"]:
        if part in text:
            fail("the script sees a part of a secret")
    print(text)

def main(environment, how = ""):
    _seen(shell.run(["sh", "-c", "echo $TOKEN"], leaves = "nothing").stdout) # inherited, and not used yet
    secrets = _secrets()
    for s in secrets.values():
        print(s, str(s), repr(s), [s], {"a": s}, struct(a = s), (s,), dir(s), type(s))
    print(environment)
    ran = _echo(0)
    _seen(ran.stdout)
    _seen(files.read(ran.path))
    _seen(str(ran))
    _seen(json.encode([ran.stdout]))
    _seen(files.read("secrets/key"))
    files.write("secrets/auth", secrets["C"])
    _seen(attempt(_echo, 3).error)
    shell.run(["sleep", "0.3"], env = secrets, stdin = secrets["A"], leaves = "nothing")
    if how == "fail":
        fail("cannot go on with", secrets, ran.stdout)
    if how == "command":
        _echo(3)
    lease(environment)
    shell.run(["sh", "-c", _ECHO], env = secrets)
    new = releases.install(environment.target.root, build_app(environment))
    releases.activate(environment.target.root, new.id, service = environment.target.service)
    health.wait(environment.health)
`

// TestNoSecretIsSeen puts secrets into every place that takes one and has everything say them that can, then looks for
// them in all that the program has written, on screens and on disk, and in the arguments of every process meanwhile.
func TestNoSecretIsSeen(t *testing.T) {
	s := newSite(t)
	bins, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	s.write("environments.star", strings.NewReplacer("BINS", filepath.Dir(bins["1.0.0"]), "PORT", strconv.Itoa(s.port)).Replace(secretEnvironments))
	s.write("leaky.star", leaky)
	if err := os.Mkdir(filepath.Join(s.dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "secrets", "key"), []byte(fileCanary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "secrets", "long"), []byte(longCanary()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, run := range []struct {
		env, version, how string
		code              int
		output            string
	}{
		{"production", "1.0.0", "", 0, "-v"}, {"doomed", "bad", "", 11, "-v"}, {"doomed", "bad", "", 11, "--output=json"},
		{"doomed", "bad", "", 11, "-q"}, {"production", "1.0.0", "fail", 1, "-v"}, {"production", "1.0.0", "command", 1, "--output=json"},
	} {
		s.write("VERSION", run.version+"\n")
		stop := watchArguments(t)
		code := s.process(0, "leaky.star", run.env, run.how, run.output)
		stop()
		if code != run.code {
			t.Fatalf("%v: exit %d\n%s", run, code, s.out.String())
		}
		s.conceals("the output of a run", s.out.Bytes())
	}
	s.conceals("a plan", s.said(0, "plan", "leaky.star", "production", "-v"))
	for _, run := range strings.Fields(runIDs(string(s.said(0, "runs")))) {
		s.conceals("a log", s.said(0, "log", run, "-v"))
		s.conceals("a log", s.said(0, "log", run, "--output", "json"))
	}
	s.conceals("the runs of the environment", s.said(0, "runs", "production"))
	if s.concealedOnDisk() == 0 {
		t.Error("no record with a secret was looked at: this test looks in the wrong place")
	}
}

// said is what the program writes.
func (s *site) said(code int, args ...string) []byte {
	s.t.Helper()
	s.must(code, args...)
	return s.out.Bytes()
}

// runIDs is the first column of "runner runs".
func runIDs(table string) string {
	var out []string
	for line := range strings.Lines(table) {
		out = append(out, strings.Fields(line)[0])
	}
	return strings.Join(out, " ")
}

// longCanary is so long that its base64 takes several lines.
func longCanary() string { return strings.Repeat("long-canary-0123456789", 10) }

// partly is exposed, or else the first part of a canary that a text holds.
func partly(text []byte) string {
	for _, part := range middles() {
		if bytes.Contains(text, []byte(part)) {
			return part
		}
	}
	return exposed(text)
}

// exposed names the first form of a canary that a text holds, "" for none.
func exposed(text []byte) string {
	for _, canary := range slices.Concat(strings.Split(fileCanary, "\n"), []string{envCanary, longCanary()}, worldCanaries()) {
		for _, form := range []string{canary, url.QueryEscape(canary), url.PathEscape(canary),
			base64.StdEncoding.EncodeToString([]byte(canary))[:len(canary)], base64.URLEncoding.EncodeToString([]byte(canary))[:len(canary)]} {
			if bytes.Contains(text, []byte(form)) {
				return form
			}
		}
	}
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString([]byte(longCanary()))), 76) {
		if len(line) >= 16 && bytes.Contains(text, line) {
			return string(line)
		}
	}
	return ""
}

func (s *site) conceals(what string, text []byte) {
	s.t.Helper()
	if form := partly(text); form != "" {
		s.t.Errorf("%s shows %q:\n%s", what, form, text)
	}
	if len(text) == 0 {
		s.t.Errorf("%s is empty", what)
	}
}

// concealedOnDisk looks into every file below the project and the home directory. Only the secrets' own files, the
// records of how releases are started again, a node's cookie, which nobody else may read, and the log that the service
// itself writes may hold one. The first target is called target; others are named. It gives how many such records there are.
func (s *site) concealedOnDisk(others ...string) (records int) {
	s.t.Helper()
	journals := 0
	below := func(rel string, names ...string) bool {
		return slices.ContainsFunc(append(others, "target"), func(root string) bool {
			return strings.HasPrefix(rel, filepath.Join(append([]string{root}, names...)...)+"/")
		})
	}
	for _, dir := range []string{s.dir, s.home} {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			rel, _ := filepath.Rel(s.dir, name)
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if strings.HasSuffix(name, ".jsonl") {
				journals++
			}
			switch form := partly(text); {
			case form == "" || filepath.Dir(rel) == "secrets" && ownersOnly(name) || below(rel, "shared", "log"):
			case below(rel, ".runner", "home") && ownersOnly(name):
			case below(rel, ".runner", "services"):
				records++
				if info, err := d.Info(); err != nil || info.Mode().Perm() != 0o600 {
					s.t.Errorf("%s holds a secret, and others may read it (%v)", rel, info.Mode())
				}
			default:
				s.t.Errorf("%s holds %q", name, form)
			}
			return nil
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	if journals < 4 {
		s.t.Errorf("%d journals were looked at: this test looks in the wrong place", journals)
	}
	return records
}

func ownersOnly(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().Perm()&0o077 == 0
}

// watchArguments looks for a canary in the arguments of every process of the machine until it is stopped.
func watchArguments(t *testing.T) (stop func()) {
	stopping, ended := make(chan struct{}), make(chan struct{})
	seen := 0
	go func() {
		defer close(ended)
		for {
			files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, file := range files {
				text, _ := os.ReadFile(file) // its process may be gone
				if bytes.HasSuffix(text, []byte("sleep\x000.3\x00")) {
					seen++
				}
				if form := exposed(text); form != "" {
					t.Errorf("%s shows %q: %q", file, form, text)
				}
			}
			select {
			case <-stopping:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() {
		close(stopping)
		<-ended
		if seen == 0 {
			t.Error("no process that was given a secret has been seen")
		}
	}
}
