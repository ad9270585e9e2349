package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The canaries of this file. Whatever shows the middle of one shows too much of it, however the rest was cut or escaped.
const (
	nastyCanary  = `p"7b3eq1a&<canary>\x/ö'%41` // NASTY: what every notation has to escape
	passCanary   = "canary-2d4e6f8a-canary"     // secrets/pass, which a program prints
	cutCanary    = "c0re4d2b9f7e-and-so-on-for-many-more-characters"
	cookieCanary = "COOKIE3C5E7A9BCOOKIE"
	hookCanary   = "9e8d7c6b5a4f3210" // the last of the path of each URL that is a secret
)

func worldCanaries() []string {
	return []string{nastyCanary, passCanary, cutCanary, cookieCanary, hookCanary}
}

// middles are parts of the canaries. Other tests may name them in a search: they count in what is written, not in the
// arguments of the machine's processes.
func middles() []string {
	return []string{"7b3eq1a", "2d4e6f8a", "c0re4d2b", "3C5E7A9B", "9e8d7c6b", "5f1d6f0c", "+9a1b", "+7c2d"}
}

// echo is a server that says again whatever it is told, and remembers it.
type echo struct {
	*httptest.Server
	mu      sync.Mutex
	told    bytes.Buffer // by ops
	noticed bytes.Buffer // by notices
	last    string       // X-Secret
}

func newEcho(t *testing.T) *echo {
	e := &echo{}
	mux := http.NewServeMux()
	mux.HandleFunc("/echo/{how}/{status}", e.echo)
	mux.HandleFunc("/pad/{pad}/{status}", e.pad)
	mux.HandleFunc("/rpc/{how}", e.rpc)
	mux.HandleFunc("/hook/{how}/", e.hook)
	e.Server = httptest.NewServer(mux)
	t.Cleanup(e.Close)
	return e
}

// heard notes a request, and gives what it said: its headers, its query and its body.
func (e *echo) heard(r *http.Request) (headers map[string]string, body string) {
	b, _ := io.ReadAll(r.Body)
	headers = map[string]string{"Query": r.URL.RawQuery}
	for _, name := range []string{"Authorization", "X-Secret", "X-Pass"} {
		headers[name] = r.Header.Get(name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := r.Header.Get("X-Secret"); s != "" {
		e.last = s
	}
	fmt.Fprintf(&e.told, "%s %s %q %q\n%s\n", r.Method, r.URL, headers, r.Header, b)
	return headers, string(b)
}

func (e *echo) echo(w http.ResponseWriter, r *http.Request) {
	headers, body := e.heard(r)
	for name, value := range headers {
		w.Header().Set("Was-"+name, value)
	}
	status, _ := strconv.Atoi(r.PathValue("status"))
	w.WriteHeader(status)
	all := headers
	all["Body"] = body
	switch r.PathValue("how") {
	case "json":
		json.NewEncoder(w).Encode(all)
	case "html":
		for name, value := range all {
			fmt.Fprintf(w, "<li>%s: %s</li>\n", name, html.EscapeString(value))
		}
	case "key":
		known := map[string]any{}
		for _, value := range all {
			known[value] = []any{map[string]any{value: "known"}}
		}
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false)
		out.Encode(known)
	case "query":
		fmt.Fprintf(w, "%s", r.URL.Query().Encode())
	default:
		for _, name := range []string{"X-Secret", "X-Pass", "Authorization", "Query", "Body"} {
			fmt.Fprintln(w, all[name])
		}
	}
}

// pad says the secret behind so many other characters, so that whoever shortens the answer cuts through it. Who gives
// none is told the last one.
func (e *echo) pad(w http.ResponseWriter, r *http.Request) {
	e.heard(r)
	e.mu.Lock()
	last := e.last
	e.mu.Unlock()
	n, _ := strconv.Atoi(r.PathValue("pad"))
	status, _ := strconv.Atoi(r.PathValue("status"))
	text := strings.Repeat("x", n) + last
	w.Header().Set("Location", "/"+text)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if r.Method == "POST" {
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":%q}}`, text)
		return
	}
	fmt.Fprint(w, text)
}

func (e *echo) rpc(w http.ResponseWriter, r *http.Request) {
	headers, body := e.heard(r)
	answer := map[string]any{"jsonrpc": "2.0", "id": 1, "result": headers}
	if r.PathValue("how") == "error" {
		answer["error"] = map[string]any{"code": -1, "message": headers["X-Secret"] + " " + headers["X-Pass"] + body}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

// hook is told of runs. It fails as its path says, and quotes its URL then, or a part of it.
func (e *echo) hook(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	fmt.Fprintf(&e.noticed, "%s %s\n%s\n", r.URL.Path, r.Header.Get("Authorization"), b)
	e.mu.Unlock()
	switch r.PathValue("how") {
	case "302":
		w.Header().Set("Location", "https://127.0.0.1:1"+r.URL.Path+"?again=1")
		w.WriteHeader(http.StatusFound)
	case "500":
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "there is no %s", strings.TrimPrefix(r.URL.Path, "/"))
	case "cut":
		w.Header().Set("Content-Length", "1000")
		fmt.Fprintf(w, "no %s", r.URL)
	}
}

// hooks are the variables with secret URLs: of the server, and of a port where nobody listens.
func (e *echo) hooks() []string {
	var env []string
	for _, how := range []string{"500", "302", "cut", "ok", "refused"} {
		base := e.URL
		if how == "refused" {
			base = "http://127.0.0.1:1"
		}
		env = append(env, fmt.Sprintf("HOOK_%s=%s/hook/%s/T0/B0/%s%s", strings.ToUpper(how), base, how, how, hookCanary))
	}
	return env
}

// sees wants a server, or whoever else was given secrets, to have them: else there was nothing to conceal.
func sees(t *testing.T, who, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if !strings.Contains(text, secret) {
			t.Errorf("%s was not given %q", who, secret)
		}
	}
}

// newWorld is a site with the project of testdata/world.
func newWorld(t *testing.T, more ...string) *site {
	s := newSite(t)
	s.more = append(more, "NASTY="+nastyCanary)
	bins, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("BINS", filepath.Dir(bins["1.0.0"]), "PORT", strconv.Itoa(s.port))
	entries, err := os.ReadDir(filepath.Join("testdata", "world"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join("testdata", "world", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		s.write(e.Name(), fill.Replace(string(text)))
	}
	if err := errors.Join(os.Chmod(filepath.Join(s.dir, "erl.sh"), 0o755), os.Mkdir(filepath.Join(s.dir, "secrets"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"key": fileCanary, "long": longCanary(), "pass": passCanary, "cut": cutCanary, "cookie": cookieCanary} {
		s.write(filepath.Join("secrets", name), text+"\n")
		if err := os.Chmod(filepath.Join(s.dir, "secrets", name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.write("VERSION", "1.0.0\n")
	return s
}

// quietly runs the real program, which shows no secret, and wants an exit code.
func (s *site) quietly(code int, args ...string) string {
	s.t.Helper()
	if got := s.process(0, args...); got != code {
		s.t.Fatalf("%v: exit %d, want %d\n%s", args, got, code, s.out.String())
	}
	s.conceals(fmt.Sprint(args), s.out.Bytes())
	return s.out.String()
}

// history shows every run of an environment again, in every form.
func (s *site) history(env string) {
	s.t.Helper()
	for _, run := range strings.Fields(runIDs(s.quietly(0, "runs", env))) {
		s.quietly(0, "log", run, "-v")
		s.quietly(0, "log", run, "--output", "json")
	}
}

// TestNoSecretIsSeenInAnswers sends secrets to a server that says them again, in answers that are fine and in errors, in
// many notations, cut off at many places; and to webhooks, whose URLs are secrets, that fail.
func TestNoSecretIsSeenInAnswers(t *testing.T) {
	t.Parallel()
	e := newEcho(t)
	s := newWorld(t, e.hooks()...)
	stop := watchArguments(t)
	s.quietly(0, "requests.star", "production", e.URL, "-v") // what was sent stays sent
	s.quietly(11, "requests.star", "production", e.URL, "fail", "--output=json")
	s.quietly(11, "requests.star", "production", e.URL, "post")
	stop()
	s.quietly(0, "plan", "requests.star", "production", e.URL, "-v")
	s.history("production")
	s.concealedOnDisk()

	told, noticed := e.told.String(), e.noticed.String()
	sees(t, "the server", told, "Bearer "+envCanary, fmt.Sprintf("%q", nastyCanary), passCanary, cutCanary, fileCanary, longCanary(), "?token="+passCanary)
	sees(t, "the endpoint", noticed, "/hook/500/T0/B0/500"+hookCanary, "/hook/302/T0/B0/302"+hookCanary, "/hook/cut/T0/B0/cut"+hookCanary,
		"/hook/ok/T0/B0/ok"+hookCanary+" Bearer "+envCanary, `"event":"failed"`, "smoke.run")
	for line := range strings.Lines(noticed) {
		if strings.HasPrefix(line, "{") {
			s.conceals("a notice", []byte(line))
		}
	}
	smoked, _ := os.ReadFile(filepath.Join(s.dir, "secrets", "smoked"))
	sees(t, "smoke.command", string(smoked), nastyCanary)
	for _, name := range []string{"good.xml", "bad.xml", "pad20.xml"} {
		report, _ := os.ReadFile(filepath.Join(s.dir, name))
		sees(t, name, string(report), "<testcase")
	}
}

// environOf is the environment of a process.
func environOf(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return string(b)
}

// TestNoSecretIsSeenOfAService deploys a service that says the secrets it is given, with builds and smoke tests that do the
// same; breaks it, kills the run, has it recovered and undone, and looks at all of it by every command.
func TestNoSecretIsSeenOfAService(t *testing.T) {
	t.Parallel()
	e := newEcho(t)
	s := newWorld(t, e.hooks()...)
	git := exec.Command("sh", "-c", `git init -q . && git add VERSION && git -c user.name=a -c user.email=a@b commit -q -F - && rm -r .git/COMMIT_EDITMSG .git/logs`)
	git.Dir, git.Env, git.Stdin = s.dir, s.env(), strings.NewReader("say "+envCanary)
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	stop := watchArguments(t)
	s.quietly(13, "keep.star", "production", "early", "--no-undo")
	sees(t, "undo", s.quietly(0, "undo", "production", "-v"), "back ‹secret TOKEN› ‹secret NASTY›") // where no service has left a record of its secrets
	s.quietly(0, "deploy.star", "production", "-v")
	sees(t, "the service", environOf(s.service()), "TOKEN="+envCanary, "NASTY="+nastyCanary, "KEY="+fileCanary, "PASS="+passCanary, "AUTH=Bearer "+envCanary)
	for _, run := range []struct {
		version, env, then string
		code               int
		says               string
	}{
		{"1.1.0", "production", "archive", 0, "subject = \"say ‹secret TOKEN›\""},
		{"bad", "doomed", "", 10, "has ‹secret TOKEN› and ‹secret NASTY›"}, // the end of the service's log, as evidence
		{"1.2.0", "production", "quote", 10, "failed: keep.star:"},
		{"1.2.0", "made", "", 0, ""},
		{"none", "made", "", 10, "has ‹secret TOKEN› and ‹secret NASTY›"},
		{"1.2.0", "gone", "", 10, "cannot build"},
		{"none", "production", "", 10, "has ‹secret TOKEN› and ‹secret NASTY›"},
		{"1.0.0", "production", "kill", -1, ""},
	} {
		s.write("VERSION", run.version+"\n")
		said := s.quietly(run.code, "keep.star", run.env, run.then, "-v")
		sees(t, fmt.Sprint("the output of ", run), said, run.says)
	}
	sees(t, "the run that recovers", s.quietly(0, "recover.star", "production", "-v"), "back ‹secret TOKEN› ‹secret NASTY›")
	s.write("VERSION", "1.1.0\n")
	s.quietly(13, "keep.star", "production", "leave", "--no-undo")
	sees(t, "undo", s.quietly(0, "undo", "production", "-v"), "back ‹secret TOKEN› ‹secret NASTY›")
	s.quietly(0, "rollback.star", "production", "--output=json")
	stop()

	sees(t, "doctor", s.quietly(0, "doctor", "production"), "has ‹secret TOKEN› and ‹secret NASTY›")
	for _, args := range []string{"plan deploy.star production -v", "plan keep.star doomed --output=json", "config production", "config node --output=json",
		"check", "runs", "runs --output=json"} {
		s.quietly(0, strings.Fields(args)...)
	}
	sees(t, "runner test", s.quietly(1, "test", "world_test.star"), "‹secret NASTY›")
	s.quietly(1, "test", "world_test.star", "--output=json")
	s.history("production")
	if n := s.concealedOnDisk(); n == 0 {
		t.Error("no record with a secret was looked at: this test looks in the wrong place")
	}
}

// TestNoSecretIsSeenOfANode asks a node for its cookie, and for what else it was given, in runs that do not use these
// secrets themselves: what the target keeps of them is enough to conceal them.
func TestNoSecretIsSeenOfANode(t *testing.T) {
	t.Parallel()
	s := newWorld(t)
	stop := watchArguments(t)
	for _, env := range []string{"node", "own"} {
		s.quietly(0, "node.star", env, "-v")
		record, _ := os.ReadFile(filepath.Join(s.dir, env, ".runner", "service.json"))
		var service struct{ Proc struct{ PID int } }
		if err := json.Unmarshal(record, &service); err != nil {
			t.Fatal(err)
		}
		cookie, _ := os.ReadFile(filepath.Join(s.dir, env, ".runner", "home", ".erlang.cookie"))
		if env == "node" {
			sees(t, "OTP", string(cookie), cookieCanary)
		}
		sees(t, "the node", environOf(service.Proc.PID), "NODE_COOKIE="+string(cookie), "PASS="+passCanary, fileCanary)
		for _, output := range []string{"-v", "--output=json"} {
			said := s.quietly(11, "ask.star", env, output) // what was asked of the node stays
			sees(t, "ask.star", said, "cookie ‹secret ", " and ‹secret PASS›", "rpc: exit 1: {‹secret ")
			if strings.Contains(said, string(cookie)) {
				t.Errorf("a cookie is shown:\n%s", said)
			}
		}
		s.quietly(0, "stop.star", env)
	}
	stop()
	s.history("node")
	if n := s.concealedOnDisk("node", "own"); n == 0 {
		t.Error("no record with a secret was looked at: this test looks in the wrong place")
	}
}
