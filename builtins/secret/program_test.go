package secret

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

const canary = "canary-71c1b2"

func sh(script string) secret.Text { return secret.Command("sh", "-c", script) }

func TestCommand(t *testing.T) {
	h := newHost(t)
	for script, want := range map[string]string{
		"echo " + canary:                       canary,
		"printf " + canary:                     canary,
		"printf '" + canary + `\n\n'`:          canary + "\n",
		"pwd":                                  h.Project,
		"echo warning >&2; echo " + canary:     canary,
		`printf 'a line\nand another\n'`:       "a line\nand another",
		"head -c 65536 /dev/zero | tr '\\0' x": strings.Repeat("x", 65536),
	} {
		ear := &heard{}
		got, err := h.Secrets.RevealIn(op.WithSpeaker(t.Context(), ear), sh(script))
		if got != want || err != nil {
			t.Errorf("%s: %.80q, %v", script, got, err)
		}
		if len(ear.said) != 2 || !strings.HasPrefix(ear.said[0], "the secret that sh -c") {
			t.Errorf("%s: heard %q", script, ear.said)
		}
	}
	if said := h.Secrets.Scrubber.String("see " + canary); !strings.HasPrefix(said, "see ‹secret ") {
		t.Errorf("the scrubber prints %q", said)
	}
}

// heard is everything that an op says.
type heard struct {
	op.Silent
	said  []string
	waits func()
	child error
}

func (h *heard) Output(line string) { h.said = append(h.said, line) }
func (h *heard) Child(c op.Child) error {
	h.said = append(h.said, "started "+c.Name)
	return h.child
}
func (h *heard) Waiting(what string, _ time.Time) {
	h.said = append(h.said, what)
	if h.waits != nil {
		h.waits()
	}
}

func TestCommandRunsOnce(t *testing.T) {
	h := newHost(t)
	text := sh("echo x >>runs; sleep 0.2; echo " + canary)
	derived, _ := secret.Format("Bearer {}", text)
	done := make(chan error)
	for range 10 {
		go func() {
			_, err := h.Secrets.Reveal(derived)
			done <- err
		}()
	}
	for range 10 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if runs, _ := os.ReadFile(filepath.Join(h.Project, "runs")); string(runs) != "x\n" {
		t.Errorf("it ran %q", runs)
	}
}

// A failure is not kept: the next use tries again.
func TestCommandThatFailsIsTriedAgain(t *testing.T) {
	h := newHost(t)
	text := sh("test -f unlocked && echo " + canary)
	if _, err := h.Secrets.Reveal(text); err == nil {
		t.Error("it is had")
	}
	os.WriteFile(filepath.Join(h.Project, "unlocked"), nil, 0o600)
	if got, err := h.Secrets.Reveal(text); got != canary || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestCommandFails(t *testing.T) {
	t.Setenv("TOKEN", "known-canary-1")
	h := newHost(t)
	if _, err := h.Secrets.Reveal(secret.Env("TOKEN")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text secret.Text
		want string
	}{
		{secret.Command("no-such-program", "x"), "cannot read the secret no-such-program x: cannot start no-such-program: it is not in PATH"},
		{sh("exit 3"), ": exit 3"},
		{sh("echo locked >&2; exit 1"), ": exit 1\n  locked"},
		{sh("true"), ": it printed nothing"},
		{sh("echo"), ": it printed nothing"},
		{sh("kill -9 $$"), ": ended by signal: killed"},
		{sh(`printf %s ` + canary + `; echo "no, $TOKEN is not good for it: half-` + canary + `" >&2; exit 1`), "no, ‹secret TOKEN› is not good for it: half-‹secret half›"},
		{sh("seq 1 100000 >&2; exit 1"), ": exit 1\n  "},
		{sh("head -c 65537 /dev/zero | tr '\\0' x"), ": it printed more than 64KiB"},
	} {
		_, err := h.Secrets.Reveal(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "cannot read the secret ") || len(err.Error()) > 1500 {
			t.Errorf("%s: %v", c.text.Name(), err)
			continue
		}
		_, said, _ := strings.Cut(err.Error(), "…: ")
		if strings.Contains(said, "canary") || strings.Count(said, "\n") > maxShown {
			t.Errorf("%s says %q", c.text.Name(), said)
		}
	}
}

func TestCommandEnds(t *testing.T) {
	h := newHost(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("asked to stop")
	ear := &heard{waits: func() { cancel(why) }}
	begun := time.Now()
	_, err := h.Secrets.RevealIn(op.WithSpeaker(ctx, ear), sh("exec sleep 100"))
	if !errors.Is(err, why) || time.Since(begun) > time.Second {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
	h.Clock = hurried{h.Clock}
	h.Secrets.Run = Program(h)
	if _, err := h.Secrets.Reveal(sh("exec sleep 101")); err == nil || !strings.Contains(err.Error(), "it ran longer than 30s") {
		t.Errorf("late: %v", err)
	}
}

// hurried is a clock on which 30 s pass at once.
type hurried struct{ host.Clock }

func (c hurried) Timeout(ctx context.Context, _ time.Duration, cause error) (context.Context, context.CancelFunc) {
	return c.Clock.Timeout(ctx, 50*time.Millisecond, cause)
}

// No program runs that no record names.
func TestRefusedChildNeverRuns(t *testing.T) {
	h, full := newHost(t), errors.New("the disk is full")
	_, err := h.Secrets.RevealIn(op.WithSpeaker(t.Context(), &heard{child: full}), sh("touch ran; echo x"))
	if !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(h.Project, "ran")); err == nil {
		t.Error("it ran")
	}
}

func TestMissing(t *testing.T) {
	t.Setenv("THERE", canary)
	h := newHost(t)
	open := errors.New("its mode is 0644: others may read it")
	h.Secrets.ReadFile = func(string) ([]byte, error) { return nil, op.Hint(open, "chmod 0600 key") }
	header, _ := secret.Format("Bearer {}", secret.Env("GONE"))
	got, err := Missing{Secrets: map[string]secret.Text{
		"A": secret.Env("THERE"), "B": secret.Env("GONE"), "C": secret.File("key"), "D": sh("echo " + canary), "E": sh("echo locked >&2; exit 1"),
		"F": secret.Plain("debug"), "G": header,
	}}.Do(t.Context(), h)
	want := []Absent{
		{Name: "B", Secret: "GONE", Why: "cannot read the secret GONE: the environment variable is not set"},
		{Name: "C", Secret: "key", Why: "cannot read the secret key: its mode is 0644: others may read it", Hint: "chmod 0600 key"},
		{Name: "E", Secret: "sh -c echo locked >&2; exit 1", Why: "cannot read the secret sh -c echo locked >&2; exit 1: exit 1\n  locked"},
		{Name: "G", Secret: "GONE", Why: "cannot read the secret GONE: the environment variable is not set"},
	}
	if err != nil || len(got) != len(want) {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("\n got %+v\nwant %+v", got[i], want[i])
		}
	}
}
