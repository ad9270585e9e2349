package secret

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/secret"
)

func TestMake(t *testing.T) {
	vault := &secret.Vault{
		Getenv:   func(name string) (string, bool) { return "canary-" + name, true },
		ReadFile: func(name string) ([]byte, error) { return []byte("canary-" + name + "\n"), nil },
		Run: func(_ context.Context, argv []string) ([]byte, error) {
			return fmt.Appendf(nil, "canary-%s\n", argv), nil
		},
	}
	for want, m := range map[string]interface {
		Check() error
		Make() (any, error)
	}{
		"canary-TOKEN":        Env{Name: "TOKEN"},
		"canary-keys/db":      File{Path: "keys/db"},
		"canary-[pass db]":    Command{Argv: []string{"pass", "db"}},
		"Bearer canary-TOKEN": Format{Format: "Bearer {}", Value: secret.Env("TOKEN")},
	} {
		if err := m.Check(); err != nil {
			t.Errorf("%v: %v", m, err)
		}
		made, err := m.Make()
		text, ok := made.(secret.Text)
		if err != nil || !ok || !text.IsSecret() || strings.Contains(fmt.Sprintf("%v %+v %#v", m, m, made), "canary") {
			t.Errorf("%v made %#v, %v", m, made, err)
		}
		if value, err := vault.Reveal(text); value != want || err != nil {
			t.Errorf("%v is %q, %v", m, value, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for want, c := range map[string]interface{ Check() error }{
		`name: want the name of an environment variable, got "$TOKEN"`: Env{Name: "$TOKEN"},
		`path: want the path of a file, got ""`:                        File{},
		"argv: want a program and its arguments, got none":             Command{},
		"format: want one {} in it, got 0":                             Format{Format: "Bearer", Value: secret.Env("A")},
		"format: want one {} in it, got 2":                             Format{Format: "{}:{}", Value: secret.Env("A")},
		"value: want a secret, got a plain text":                       Format{Format: "{}", Value: secret.Plain("canary")},
	} {
		if err := c.Check(); err == nil || err.Error() != want {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
