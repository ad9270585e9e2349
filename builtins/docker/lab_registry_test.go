//go:build labs

package docker

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/moby/moby/client"
)

// serve is a registry on loopback, in memory, behind what guard does first.
func serve(t *testing.T, guard func(http.ResponseWriter, *http.Request) bool) (host string) {
	images := registry.New()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if guard == nil || guard(w, r) {
			images.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func stored(t *testing.T, w dockertest.World, d *Docker, host string) (name string) {
	b := build(w)
	b.Tags = []string{host + "/" + w.Name + ":1"}
	must[Built](t)(b.Do(t.Context(), d))
	return b.Tags[0]
}

func TestLabRegistry(t *testing.T) {
	w, d := world(t)
	name := stored(t, w, d, serve(t, nil))
	pushed := must[Moved](t)(Push{Image: name, Timeout: moveTimeout}.Do(t.Context(), d))
	must[client.ImageRemoveResult](t)(w.Engine.ImageRemove(t.Context(), name, client.ImageRemoveOptions{}))
	repository, _, _ := strings.Cut(name, ":1")
	if i := strings.LastIndex(name, ":"); i > 0 {
		repository = name[:i]
	}
	pulled := must[Moved](t)(Pull{Image: repository + "@" + pushed.Digest, Timeout: moveTimeout}.Do(t.Context(), d))
	if pulled.Digest != pushed.Digest || pulled.ID != pushed.ID || !strings.HasPrefix(pushed.Digest, "sha256:") {
		t.Errorf("pushed %+v, pulled %+v", pushed, pulled)
	}
	_, err := Pull{Image: repository + ":none", Timeout: moveTimeout}.Do(t.Context(), d)
	if err == nil || !strings.Contains(err.Error(), "its registry has no such image") {
		t.Errorf("not there: %v", err)
	}
	_, err = Pull{Image: "127.0.0.1:1/a:1", Timeout: moveTimeout}.Do(t.Context(), d)
	if err == nil || !strings.Contains(err.Error(), "cannot reach its registry") {
		t.Errorf("no way: %v", err)
	}
}

func TestLabRegistryLogin(t *testing.T) {
	const password = "canary-55aa0f-canary"
	t.Setenv("LAB_PASSWORD", password)
	w, d := world(t)
	host := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		user, given, _ := r.BasicAuth()
		if user == "ana" && given == password {
			return true
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="lab"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
		return false
	})
	name := stored(t, w, d, host)
	config := t.TempDir()
	w.Host.Env = append(w.Host.Env, "DOCKER_CONFIG="+config, "PATH="+config+":"+os.Getenv("PATH"))
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(config, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	push := Push{Image: name, Timeout: moveTimeout}
	refused := func(when string) {
		if _, err := push.Do(t.Context(), d); err == nil || !strings.Contains(err.Error(), "does not accept the login") || !strings.Contains(op.HintOf(err), "docker login") || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", when, err)
		}
	}
	refused("nobody")
	push.Username, push.Password = "ana", secret.Env("LAB_PASSWORD")
	must[Moved](t)(push.Do(t.Context(), d))
	push.Username, push.Password = "", secret.Text{}
	auth := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	write("config.json", `{"auths": {"`+host+`": {"auth": "`+auth("ana:wrong-password")+`"}}}`)
	refused("wrong")
	write("config.json", `{"auths": {"https://`+host+`/v1/": {"auth": "`+auth("ana:"+password)+`"}}}`)
	must[Moved](t)(push.Do(t.Context(), d))
	write("config.json", `{"credHelpers": {"`+host+`": "lab"}}`)
	_, err := push.Do(t.Context(), d)
	if err == nil || !strings.Contains(err.Error(), "docker-credential-lab") {
		t.Errorf("no program: %v", err)
	}
	write("docker-credential-lab", "#!/bin/sh\nread host\ntest \"$host\" = '"+host+"' && test \"$1\" = get && echo '{\"Username\": \"ana\", \"Secret\": \""+password+"\"}'\n")
	must[Moved](t)(push.Do(t.Context(), d))
}
