//go:build labs

package docker

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/op"
)

// fault is a registry that answers all but its greeting and the test's own requests by an error.
func fault(status int, code string) guard {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/" {
			return true
		}
		http.Error(w, fmt.Sprintf(`{"errors":[{"code":%q,"message":"no"}]}`, code), status)
		return false
	}
}

// halfway ends the connection in the middle of each blob.
func halfway(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case !strings.Contains(r.URL.Path, "/blobs/") || r.Method == http.MethodHead:
		return true
	case r.Method == http.MethodGet:
		w.Header().Set("Content-Length", "100000")
		w.Write(make([]byte, 40000))
		w.(http.Flusher).Flush()
	default:
		io.CopyN(io.Discard, r.Body, 1000)
	}
	panic(http.ErrAbortHandler)
}

// damaged gives other bytes than were asked for.
func damaged(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
		w.Write(bytes.Repeat([]byte("no"), 5000))
		return false
	}
	return true
}

// silent never answers.
func silent(_ http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path != "/v2/" {
		<-r.Context().Done()
	}
	return r.URL.Path == "/v2/"
}

// twice fails in two visits, each of which begins with a greeting.
func twice() guard {
	var visits atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/" {
			visits.Add(1)
			return true
		}
		return visits.Load() > 2 || fault(http.StatusInternalServerError, "UNKNOWN")(w, r)
	}
}

// publish stores an image in a registry that no engine has anything of.
func publish(t *testing.T, host, name string) {
	var layer, packed bytes.Buffer
	content := make([]byte, 100_000)
	rand.Read(content)
	files := tar.NewWriter(&layer)
	err := files.WriteHeader(&tar.Header{Name: "content", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))})
	files.Write(content)
	err = errors.Join(err, files.Close())
	zip := gzip.NewWriter(&packed)
	zip.Write(layer.Bytes())
	err = errors.Join(err, zip.Close())
	ask := func(method, path, kind string, body []byte) {
		r, e := http.NewRequest(method, "http://"+host+"/v2/"+name+path, bytes.NewReader(body))
		if e == nil {
			r.Header.Set("Content-Type", kind)
			var answer *http.Response
			if answer, e = http.DefaultClient.Do(r); e == nil && answer.StatusCode != http.StatusCreated {
				e = errors.New(answer.Status)
			}
		}
		err = errors.Join(err, e)
	}
	digest := func(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }
	config := fmt.Appendf(nil, `{"architecture":%q,"os":"linux","rootfs":{"type":"layers","diff_ids":[%q]}}`, runtime.GOARCH, digest(layer.Bytes()))
	const docker = "application/vnd.docker."
	for _, blob := range [][]byte{packed.Bytes(), config} {
		ask("POST", "/blobs/uploads/?digest="+digest(blob), "application/octet-stream", blob)
	}
	ask("PUT", "/manifests/1", docker+"distribution.manifest.v2+json", fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"%[1]sdistribution.manifest.v2+json","config":{"mediaType":"%[1]scontainer.image.v1+json","size":%[2]d,"digest":%[3]q},"layers":[{"mediaType":"%[1]simage.rootfs.diff.tar.gzip","size":%[4]d,"digest":%[5]q}]}`,
		docker, len(config), digest(config), packed.Len(), digest(packed.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
}

// Each fault of a registry is one line that says what it is and what to do, within its time.
func TestLabRegistryFaults(t *testing.T) {
	t.Parallel()
	w, d := world(t)
	made := stored(t, w, d, "127.0.0.1:1")
	for _, c := range []struct {
		name, verb string
		guard      guard
		fails      string
		hint       string
		within     time.Duration
	}{
		{"401", "push", fault(401, "UNAUTHORIZED"), "its registry does not accept the login: unauthorized: no", "docker login", time.Minute},
		{"403", "push", fault(403, "DENIED"), "its registry refuses it to this login, or has no such image: denied: no", "docker login", time.Minute},
		{"404", "push", fault(404, "NAME_UNKNOWN"), "its registry has no such image", "look at the name", time.Minute},
		{"429", "push", fault(429, "TOOMANYREQUESTS"), "its registry has had too many requests", "or wait", time.Minute},
		{"500", "push", fault(500, "UNKNOWN"), "its registry has a fault of its own", "its log says which", time.Minute + 30*time.Second},
		{"halfway", "push", halfway, "the connection to its registry is cut: ", "look at the registry", time.Minute + 30*time.Second},
		{"silent", "push", silent, "it took longer than 3s", "", 3 * time.Second},
		{"401", "pull", fault(401, "UNAUTHORIZED"), "its registry does not accept the login: ", "docker login", time.Minute},
		{"403", "pull", fault(403, "DENIED"), "its registry refuses it to this login, or has no such image", "docker login", time.Minute},
		{"404", "pull", fault(404, "MANIFEST_UNKNOWN"), "its registry has no such image", "look at the name", time.Minute},
		{"429", "pull", fault(429, "TOOMANYREQUESTS"), "its registry has had too many requests", "or wait", time.Minute},
		{"500", "pull", fault(500, "UNKNOWN"), "its registry has a fault of its own", "its log says which", time.Minute},
		{"500 twice", "pull", twice(), "", "", time.Minute},
		{"halfway", "pull", halfway, "the connection to its registry is cut: ", "look at the registry", time.Minute + 30*time.Second},
		{"damaged", "pull", damaged, "what its registry gives is not what it should be", "push the image again", time.Minute + 30*time.Second},
		{"silent", "pull", silent, "it took longer than 3s", "", 3 * time.Second},
	} {
		t.Run(c.verb+" "+c.name, func(t *testing.T) {
			t.Parallel()
			var ready atomic.Bool
			host := serve(t, func(w http.ResponseWriter, r *http.Request) bool { return !ready.Load() || c.guard(w, r) })
			image := host + "/" + w.Name + ":1"
			do := func(h *heard) (Moved, error) {
				return Push{Image: image, Timeout: op.Duration(c.within)}.Do(op.WithSpeaker(t.Context(), h), d)
			}
			if c.verb == "pull" {
				publish(t, host, w.Name)
				do = func(h *heard) (Moved, error) {
					return Pull{Image: image, Timeout: op.Duration(c.within)}.Do(op.WithSpeaker(t.Context(), h), d)
				}
			} else {
				must[string](t)(Tag{Image: made, Tag: image}.Do(t.Context(), d))
			}
			ready.Store(true)
			h, begun := &heard{}, time.Now()
			got, err := do(h)
			took := time.Since(begun)
			t.Logf("%s: %v (%s) %q", took, err, op.HintOf(err), h.lines)
			if c.fails == "" {
				if err != nil || got.Digest == "" {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), "cannot "+c.verb+" "+image+": "+c.fails) || !strings.Contains(op.HintOf(err), c.hint) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v (%s), want %q", err, op.HintOf(err), c.fails)
			}
			if len(h.waits) == 0 || took > c.within+5*time.Second {
				t.Errorf("it took %s, and waited for %q", took, h.waits)
			}
		})
	}
}
