package secret

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

const canary = "s3cr3t/canary+Ω=value"

func vault(s *Scrubber) *Vault {
	return &Vault{
		Getenv:   func(n string) (string, bool) { return canary, n == "TOKEN" },
		ReadFile: func(string) ([]byte, error) { return []byte(canary + "\n"), nil },
		Scrubber: s,
	}
}

func TestTextPrintsItsName(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		got := fmt.Sprintf(verb, struct{ T Text }{Env("TOKEN")})
		if !strings.Contains(got, "‹secret TOKEN›") {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

func TestTextSurvivesTheWire(t *testing.T) {
	bearer, err := Format("Bearer {}", Env("TOKEN"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []Text{Plain("8080"), Env("TOKEN"), File("/etc/token"), Command("pass", "show", "db"), bearer} {
		wire, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var back Text
		if err := json.Unmarshal(wire, &back); err != nil {
			t.Fatal(err)
		}
		if again, _ := json.Marshal(back); string(again) != string(wire) {
			t.Errorf("%s came back as %s", wire, again)
		}
	}
	if _, err := Format("{} {}", Env("TOKEN")); err == nil {
		t.Error("a format with too few values is taken")
	}
}

// A program that takes its time, or that nobody lets end, keeps nobody from another secret.
func TestSlowSecretKeepsNobodyWaiting(t *testing.T) {
	v := vault(nil)
	begun := make(chan bool)
	v.Run = func(ctx context.Context, _ []string) ([]byte, error) {
		close(begun)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	slow := Command("slow")
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := v.RevealIn(ctx, slow)
		first <- err
	}()
	<-begun
	if got, err := v.Reveal(Env("TOKEN")); got != canary || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	impatient, stop := context.WithCancel(t.Context())
	stop()
	if _, err := v.RevealIn(impatient, slow); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits for it: %v", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	v.Run = func(context.Context, []string) ([]byte, error) { return []byte("value\n"), nil }
	if got, err := v.Reveal(slow); got != "value" || err != nil {
		t.Errorf("tried again: %q, %v", got, err)
	}
}

// Commands of other words are other secrets, and their names are one line.
func TestCommandNames(t *testing.T) {
	v := vault(nil)
	if _, err := v.Reveal(Command("x")); err == nil || !strings.Contains(err.Error(), "no program can be run here") {
		t.Error(err)
	}
	v.Run = func(_ context.Context, argv []string) ([]byte, error) { return fmt.Appendf(nil, "%q", argv), nil }
	for _, argv := range [][]string{{"a", "b"}, {"a b"}, {"ab"}, {"a", "", "b"}} {
		if got, _ := v.Reveal(Command(argv...)); got != fmt.Sprintf("%q", argv) {
			t.Errorf("%q gives %s", argv, got)
		}
	}
	if got := Command("a\nb\x1b", strings.Repeat("ü", 100)).Name(); got != "a b  "+strings.Repeat("ü", 54)+"…" {
		t.Errorf("%q", got)
	}
}

func TestRevealTellsTheScrubber(t *testing.T) {
	s := &Scrubber{}
	bearer, _ := Format("Bearer {}", Env("TOKEN"))
	got, err := vault(s).Reveal(bearer)
	if err != nil || got != "Bearer "+canary {
		t.Fatalf("Reveal = %q, %v", got, err)
	}
	if _, err := vault(s).Reveal(Env("ABSENT")); err == nil || !strings.Contains(err.Error(), "ABSENT") {
		t.Errorf("an absent variable: %v", err)
	}
	quoted, _ := json.Marshal(canary)
	for _, form := range []string{
		canary, string(quoted), url.QueryEscape(canary), url.PathEscape(canary),
		base64.StdEncoding.EncodeToString([]byte(canary)),
		base64.StdEncoding.EncodeToString([]byte("user:" + canary + ":tail")),
		base64.URLEncoding.EncodeToString([]byte("me:" + canary)),
	} {
		if out := s.String("before " + form + " after"); strings.Contains(out, form) || !strings.Contains(out, "‹secret TOKEN›") {
			t.Errorf("%q is printed as %q", form, out)
		}
	}
}

// FuzzScrubber holds that no form of a secret survives, whatever stands around it and however it is cut into lines.
func FuzzScrubber(f *testing.F) {
	f.Add("hunter22hunter22", "a", "b")
	f.Add("line one is long\nline two is long", "", "x")
	f.Add("‹secret X›", "‹", "›")
	f.Add("aaaaaaaaaaaaaaaa", "aaaa", "aaaa")
	f.Fuzz(func(t *testing.T, value, before, after string) {
		if len(value) < MinScrubbed || strings.Contains(Mask("X"), value) {
			t.Skip("not a value that is scrubbed")
		}
		s := &Scrubber{}
		s.Add("X", value)
		if out := s.String(before + value + after); strings.Contains(out, value) && !strings.Contains(before+after, value) &&
			!strings.Contains(before+Mask("X")+after, value) {
			t.Errorf("%q survives in %q", value, out)
		}
		if enc := base64.StdEncoding.EncodeToString([]byte(value)); strings.Contains(s.String(enc), enc) {
			t.Errorf("the base64 of %q survives", value)
		}
	})
}
