//go:build labs

package docker

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

const (
	labPassword = "canary-55aa0f-canary"
	labRefresh  = "canary-refresh-91cc2e-canary"
)

// basic asks each request for the password.
func basic(w http.ResponseWriter, r *http.Request) bool {
	if user, given, _ := r.BasicAuth(); user == "ana" && given == labPassword {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="lab"`)
	http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
	return false
}

// bearer asks for a token, which it gives for the password, or for a token that lasts.
func bearer(w http.ResponseWriter, r *http.Request) bool {
	const token = "canary-token-0b77d1-canary"
	if r.URL.Path == "/token" {
		user, given, _ := r.BasicAuth()
		if user == "ana" && given == labPassword || r.FormValue("refresh_token") == labRefresh {
			fmt.Fprintf(w, `{"token":%q,"access_token":%q}`, token, token)
			return false
		}
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
		return false
	}
	if r.Header.Get("Authorization") == "Bearer "+token {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="lab"`)
	http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
	return false
}

// program is one that keeps credentials: it notes how it is called, reads a registry's name, and prints what is given.
func program(host, called, print string, exit int) string {
	return fmt.Sprintf("#!/bin/sh\necho \"$0 $*\" >>%s\nread host\ntest \"$host\" = '%s' || exit 9\necho '%s'\nexit %d\n", called, host, print, exit)
}

func TestLabRegistryLogin(t *testing.T) {
	t.Setenv("LAB_PASSWORD", labPassword)
	for name, g := range map[string]guard{"basic": basic, "bearer": bearer} {
		t.Run(name, func(t *testing.T) {
			w, d := world(t)
			host := serve(t, g)
			image := stored(t, w, d, host)
			config := t.TempDir()
			w.Host.Env = append(w.Host.Env, "DOCKER_CONFIG="+config, "PATH="+config+":"+os.Getenv("PATH"))
			called := filepath.Join(config, "called")
			auth := func(text string) string {
				return `{"auths": {"` + host + `": {"auth": "` + base64.StdEncoding.EncodeToString([]byte(text)) + `"}}}`
			}
			known := `{"Username": "ana", "Secret": "` + labPassword + `"}`
			push := Push{Image: image, Timeout: moveTimeout}
			asAna := Push{Image: image, Timeout: moveTimeout, Username: "ana", Password: secret.Env("LAB_PASSWORD")}
			for _, c := range []struct {
				name, config, program string
				push                  Push
				fails, hint           string
			}{
				{"nobody", `{}`, "", push, "its registry does not accept the login: ", "docker login"},
				{"parameters", `{}`, "", asAna, "", ""},
				{"parameters go first", auth("ana:wrong-password"), "", asAna, "", ""},
				{"wrong", auth("ana:wrong-password"), "", push, "its registry does not accept the login: ", "docker login"},
				{"auths", auth("ana:" + labPassword), "", push, "", ""},
				{"auths of old", strings.Replace(auth("ana:"+labPassword), host, "https://"+host+"/v1/", 1), "", push, "", ""},
				{"auths torn", `{"auths": {"` + host + `": {"auth": "!"}}}`, "", push, "is not base64", ""},
				{"no program", `{"credsStore": "none"}`, "", push, "docker-credential-none", "install it, or log in without it"},
				{"program for one", `{"credHelpers": {"` + host + `": "lab"}}`, program(host, called, known, 0), push, "", ""},
				{"program for all", `{"credsStore": "lab"}`, program(host, called, known, 0), push, "", ""},
				{"program fails", `{"credsStore": "lab"}`, program(host, called, "the keyring is locked", 1), push, "cannot ask docker-credential-lab for the password of " + host + ": exit 1: the keyring is locked", ""},
				{"program fails and tells", `{"credsStore": "lab"}`, program(host, called, known, 1), push, "exit 1: what it prints is not shown", ""},
				{"program without", `{"credsStore": "lab"}`, program(host, called, "credentials not found in native keychain", 1), push, "its registry does not accept the login: ", "docker login"},
				{"program babbles", `{"credsStore": "lab"}`, program(host, called, labPassword, 0), push, "what it prints is not JSON", ""},
				{"program gives a token", `{"credsStore": "lab"}`, program(host, called, `{"Username": "<token>", "Secret": "`+labRefresh+`"}`, 0), push, map[string]string{"basic": "its registry does not accept the login: "}[name], ""},
			} {
				for file, text := range map[string]string{"config.json": c.config, "docker-credential-lab": c.program} {
					if err := os.WriteFile(filepath.Join(config, file), []byte(text), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				h, begun := &heard{}, time.Now()
				_, err := c.push.Do(op.WithSpeaker(t.Context(), h), d)
				if (err == nil) != (c.fails == "") || err != nil && (!strings.Contains(err.Error(), c.fails) || !strings.Contains(op.HintOf(err), c.hint) || strings.Contains(err.Error(), "\n")) {
					t.Errorf("%s: %v (%s), want %q", c.name, err, op.HintOf(err), c.fails)
				}
				if all := fmt.Sprint(err, h.lines); strings.Contains(all, "canary") || strings.Contains(all, "wrong-password") {
					t.Errorf("%s: a secret is seen: %s", c.name, all)
				}
				if took := time.Since(begun); took > 20*time.Second {
					t.Errorf("%s: it took %s", c.name, took)
				}
			}
			must[Moved](t)(Pull{Image: image, Timeout: moveTimeout, Username: "ana", Password: secret.Env("LAB_PASSWORD")}.Do(t.Context(), d))
			argv, _ := os.ReadFile(called)
			for line := range strings.Lines(string(argv)) {
				if !slices.Equal(strings.Fields(line), []string{filepath.Join(config, "docker-credential-lab"), "get"}) {
					t.Errorf("called as %q", line)
				}
			}
		})
	}
}
