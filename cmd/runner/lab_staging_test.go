//go:build labs

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/scripts"
)

// TestLabStaging deploys the seven services by the scripts and the environments that are shipped: what is there first, nothing
// to do, a version that is not healthy, another version, and back. Ports and images of registries are the lab's.
func TestLabStaging(t *testing.T) {
	t.Parallel()
	s := newComposeSite(t)
	if err := os.CopyFS(s.dir, os.DirFS("../../testdata/apps/erlmcp")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"compose.yaml", "Dockerfile", "Worker", ".dockerignore", "VERSION"} {
		os.Remove(filepath.Join(s.dir, name))
	}
	world := dockertest.New(t)
	local := world.Stack()
	args, err := json.Marshal(local.Args)
	if err != nil {
		t.Fatal(err)
	}
	s.write("lab.yml", strings.NewReplacer("{args}", string(args), "{port}", fmt.Sprint(s.port), "{jaeger}", local.Images["jaeger"],
		"{postgres}", local.Images["postgres"], "{label}", fmt.Sprintf("{%q: %q}", dockertest.Label, s.name)).Replace(`services:
  erlmcp: {healthcheck: {interval: 1s, retries: 2, start_period: 8s}, build: {args: {args}, labels: {label}}, ports: !override ["127.0.0.1:{port}:8080"]}
  dashboard: {build: {args: {args}, labels: {label}}, ports: !override ["127.0.0.1::3000"]}
  otel-collector: {build: {args: {args}, labels: {label}}}
  prometheus: {build: {args: {args}, labels: {label}}, ports: !override ["127.0.0.1::9090"]}
  grafana: {build: {args: {args}, labels: {label}}, ports: !override ["127.0.0.1::3000"]}
  jaeger: {image: "{jaeger}", ports: !override ["127.0.0.1::16686"]}
  postgres: {image: "{postgres}"}
`))
	shipped, err := scripts.FS.ReadFile("environments.star")
	if err != nil {
		t.Fatal(err)
	}
	s.write("environments.star", strings.NewReplacer(`"erlmcp-staging"`, fmt.Sprintf("%q", s.name), `"docker/docker-compose.yml"`, `"docker/docker-compose.yml", "lab.yml"`,
		`base = "http://127.0.0.1:8080"`, fmt.Sprintf(`base = "http://127.0.0.1:%d"`, s.port), `within = "60s", stable_for = "5s"`, `within = "20s", stable_for = "1s"`).Replace(string(shipped)))
	s.runs(18, "deploy.star", "staging", "--output", "plain")
	s.says("the secret DB_PASSWORD is missing", "the secret GRAFANA_PASSWORD is missing")
	s.more = append(s.more, "DB_PASSWORD=canary-database-1", "GRAFANA_PASSWORD=canary-grafana-1")

	s.runs(0, "deploy.star", "staging", "--output", "plain")
	s.says("staging serves erlmcp 0.6.0")
	first := s.ids()
	s.runs(0, "deploy.star", "staging", "--output", "plain", "--skip-tests")
	if s.ids() != first {
		t.Errorf("what serves already is brought up again\n%s", s.out.String())
	}
	s.vsn("0.6.0", "0.7.0")
	s.write("priv/fault.config", "{health, unhealthy}.\n")
	before := s.state()
	s.runs(10, "deploy.star", "staging", "--output", "plain", "--skip-tests")
	if after := s.state(); after != before {
		t.Errorf("not as it was\n%s\nnow\n%s\n%s", before, after, s.out.String())
	}
	s.write("priv/fault.config", "\n")
	s.runs(0, "deploy.star", "staging", "--output", "plain", "--skip-tests")
	s.says("staging serves erlmcp 0.7.0")
	s.runs(0, "rollback.star", "staging")
	s.says("staging serves erlmcp 0.6.0")
	s.runs(0, "doctor", "staging")
	if strings.Contains(s.out.String(), "canary") {
		t.Error("a secret is seen")
	}
}

// vsn changes the version of the Erlang application.
func (s *composeSite) vsn(from, to string) {
	s.t.Helper()
	name := "src/erlmcp.app.src"
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil || !strings.Contains(string(text), `"`+from+`"`) {
		s.t.Fatalf("%s: %v\n%s", name, err, text)
	}
	s.write(name, strings.ReplaceAll(string(text), `"`+from+`"`, `"`+to+`"`))
}
