//go:build labs

package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
	"github.com/erlmcp/runner/scripts"
)

// staged is a project with nothing but the application: what it is deployed by is the standard stack.
type staged struct{ *lab }

// over is what the labs say over the stack's file: free ports, and images that no registry gives.
const over = `services:
  erlmcp: {ports: !override ["127.0.0.1::8080"]}
  dashboard: {ports: !override ["127.0.0.1::3000"]}
  grafana: {ports: !override ["127.0.0.1::3000"]}
  prometheus: {ports: !override ["127.0.0.1::9090"]}
  jaeger: {image: "%s", ports: !override ["127.0.0.1::16686"]}
  postgres: {image: "%s"}
`

func newStaged(t *testing.T) (staged, Build) {
	t.Helper()
	s := staged{newLab(t)}
	s.Host.Standard = scripts.FS
	if err := os.CopyFS(s.Host.Project, os.DirFS("../../testdata/apps/erlmcp")); err != nil {
		t.Fatal(err)
	}
	local := s.Stack()
	s.Write("lab.yml", fmt.Sprintf(over, local.Images["jaeger"], local.Images["postgres"]))
	s.project.Files = []string{"docker/docker-compose.yml", "lab.yml"}
	s.project.Env = map[string]secret.Text{"ERLMCP_CONFIG": secret.Plain("staging.config")}
	return s, Build{Project: s.project, Args: local.Args, Cache: true, Timeout: op.Duration(10 * time.Minute), Key: opKey}
}

func (s staged) mine() client.Filters {
	return client.Filters{}.Add("label", "com.docker.compose.project="+s.Name)
}

func (s staged) volumes(ctx context.Context) (names []string) {
	s.T.Helper()
	list, err := s.Engine.VolumeList(ctx, client.VolumeListOptions{Filters: s.mine()})
	if err != nil {
		s.T.Fatal(err)
	}
	for _, v := range list.Items {
		names = append(names, v.Name)
	}
	slices.Sort(names)
	return names
}

// containers are the project's, as an engine lists them: service, ID and state.
func (s staged) containers() (all []container.Summary) {
	s.T.Helper()
	list, err := s.Engine.ContainerList(s.T.Context(), client.ContainerListOptions{All: true, Filters: s.mine()})
	if err != nil {
		s.T.Fatal(err)
	}
	slices.SortFunc(list.Items, func(a, b container.Summary) int { return strings.Compare(a.Names[0], b.Names[0]) })
	return list.Items
}

func (s staged) id(service string) string { return s.Name + "-" + service + "-1" }

// in runs a command in a service's container.
func (s staged) in(service string, argv ...string) (string, int) {
	s.T.Helper()
	ctx := s.T.Context()
	made, err := s.Engine.ExecCreate(ctx, s.id(service), client.ExecCreateOptions{Cmd: argv, AttachStdout: true, AttachStderr: true})
	if err != nil {
		s.T.Fatal(err)
	}
	stream, err := s.Engine.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err != nil {
		s.T.Fatal(err)
	}
	defer stream.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, stream.Reader); err != nil {
		s.T.Fatal(err)
	}
	got, err := s.Engine.ExecInspect(ctx, made.ID, client.ExecInspectOptions{})
	if err != nil {
		s.T.Fatal(err)
	}
	return strings.TrimSpace(out.String()), got.ExitCode
}

// get asks a service at the port that the engine chose for it.
func (s staged) get(service, path string) string {
	s.T.Helper()
	in, err := s.Engine.ContainerInspect(s.T.Context(), s.id(service), client.ContainerInspectOptions{})
	if err != nil {
		s.T.Fatal(err)
	}
	for _, to := range in.Container.NetworkSettings.Ports {
		if len(to) == 0 {
			continue
		}
		a, err := http.Get("http://127.0.0.1:" + to[0].HostPort + path)
		if err != nil {
			s.T.Fatal(err)
		}
		defer a.Body.Close()
		b, err := io.ReadAll(a.Body)
		if err != nil || a.StatusCode != http.StatusOK {
			s.T.Fatalf("%s%s: %s %s %v", service, path, a.Status, b, err)
		}
		return string(b)
	}
	s.T.Fatalf("%s publishes no port", service)
	return ""
}

// scraped waits until Prometheus has taken the application's metrics.
func (s staged) scraped() {
	s.T.Helper()
	var targets struct {
		Data struct {
			ActiveTargets []struct {
				Labels    map[string]string
				Health    string
				LastError string
			}
		}
	}
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		if err := json.Unmarshal([]byte(s.get("prometheus", "/api/v1/targets")), &targets); err != nil {
			s.T.Fatal(err)
		}
		up := 0
		for _, target := range targets.Data.ActiveTargets {
			if target.Health == "up" {
				up++
			}
		}
		if up == 3 {
			return
		}
	}
	s.T.Fatalf("prometheus scrapes too little: %+v", targets.Data.ActiveTargets)
}

// healthy waits until the engine has seen by itself what was seen of every service at its start.
func (s staged) healthy() {
	s.T.Helper()
	for _, c := range s.containers() {
		state := "starting"
		for end := time.Now().Add(30 * time.Second); state == "starting" && time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
			in, err := s.Engine.ContainerInspect(s.T.Context(), c.ID, client.ContainerInspectOptions{})
			if err != nil || in.Container.RestartCount > 0 {
				s.T.Fatalf("%s: %+v, %v", c.Names[0], in.Container.State, err)
			}
			state = string(in.Container.State.Health.Status)
		}
		if state != "healthy" {
			s.T.Errorf("%s is %s", c.Names[0], state)
		}
	}
}

// TestLabSevenServices: the standard stack is built and comes up healthy from the files that runner brings along, each of
// its services does its work, the same again is nothing to do, for runner as for Docker Compose, and what stays in the end
// is its volumes.
func TestLabSevenServices(t *testing.T) {
	s, build := newStaged(t)
	u := defaultUp()
	u.Project, u.Key = s.project, opKey
	if _, err := u.Do(t.Context(), s.d); err == nil || !strings.Contains(err.Error(), "secrets.db_password.environment: the variable DB_PASSWORD has no value: secrets = in environments.star gives it one") || len(s.containers()) > 0 {
		t.Fatalf("without passwords: %v", err)
	}
	u.Project = s.project.With(map[string]secret.Text{"DB_PASSWORD": secret.Plain("the-database's"), "GRAFANA_PASSWORD": secret.Plain("grafana's-own")})
	build.Project = u.Project
	begun := time.Now()
	made, err := build.Do(t.Context(), s.d)
	if err != nil || len(made.Images) != 5 {
		t.Fatalf("%v, %v", made, err)
	}
	t.Logf("built in %s", time.Since(begun))
	begun, u.Images = time.Now(), made.Images
	r, err := u.Do(t.Context(), s.d)
	if err != nil {
		all, _ := u.Evidence(t.Context(), s.d)
		t.Fatalf("%v\n%+v", err, all)
	}
	t.Logf("up in %s", time.Since(begun))
	if len(r.Containers) != 7 || slices.ContainsFunc(r.Containers, func(c UpContainer) bool { return c.State != "healthy" }) {
		t.Fatalf("%+v", r.Containers)
	}
	s.work()
	s.healthy()
	before := s.containers()
	begun = time.Now()
	if r, err = u.Do(t.Context(), s.d); err != nil || r.Changed != 0 {
		t.Fatalf("again: %+v, %v", r, err)
	}
	t.Logf("again, nothing to do, in %s", time.Since(begun))
	s.compose()
	for i, c := range s.containers() {
		if c.ID != before[i].ID || c.State != "running" {
			t.Errorf("%s was made anew", c.Names[0])
		}
	}
	if _, err := (Return{Project: s.Name, Was: Snapshot{shape.Set{Project: s.Name}}, Of: u.Key}).Do(t.Context(), s.d); err != nil {
		t.Fatal(err)
	}
	want := []string{s.Name + "_grafana", s.Name + "_logs", s.Name + "_postgres", s.Name + "_prometheus"}
	networks, err := s.Engine.NetworkList(t.Context(), client.NetworkListOptions{Filters: s.mine()})
	if left := s.containers(); err != nil || len(left) > 0 || len(networks.Items) > 0 || !slices.Equal(s.volumes(t.Context()), want) {
		t.Errorf("left: %v, %v, %v, %v", left, networks.Items, s.volumes(t.Context()), err)
	}
}

// work sees every service do what it is there for.
func (s staged) work() {
	t := s.T
	t.Helper()
	for address, want := range map[[2]string]string{
		{"erlmcp", "/health"}:                 `"status":"healthy"`,
		{"dashboard", "/"}:                    "dashboard.js",
		{"dashboard", "/cgi-bin/ask/health"}:  `"database":{"status":"healthy"`,
		{"dashboard", "/cgi-bin/ask/metrics"}: "erlmcp_requests_total",
		{"grafana", "/api/health"}:            "ok",
		{"jaeger", "/"}:                       "ok",
	} {
		if got := s.get(address[0], address[1]); !strings.Contains(got, want) {
			t.Errorf("%v: %s, want %s", address, got, want)
		}
	}
	s.scraped()
	query := "PGPASSWORD=%s psql -h postgres -U erlmcp -d erlmcp -tAc 'select 6 * 7'"
	if got, code := s.in("postgres", "sh", "-c", fmt.Sprintf(query, `"$(cat /run/secrets/db_password)"`)); got != "42" || code != 0 {
		t.Errorf("postgres: %s (exit %d)", got, code)
	}
	if got, code := s.in("postgres", "sh", "-c", fmt.Sprintf(query, "wrong")); code == 0 || !strings.Contains(got, "password authentication failed") {
		t.Errorf("with another password: %s (exit %d)", got, code)
	}
	for service, want := range map[string]string{"erlmcp": "1000", "postgres": "999", "prometheus": "65534"} {
		if got, _ := s.in(service, "id", "-u"); got != want {
			t.Errorf("%s runs as %s", service, got)
		}
	}
	if got, code := s.in("erlmcp", "sh", "-c", "touch /opt/erlmcp/x /x; ls /run/secrets"); code == 0 || !strings.Contains(got, "Read-only file system") {
		t.Errorf("the application can write what it should not: %s", got)
	}
}

// compose wants Docker Compose to find nothing to do, where its files lie in the project.
func (s staged) compose() {
	s.T.Helper()
	docker, err := fs.Sub(scripts.FS, "docker")
	if err = errors.Join(err, os.CopyFS(s.Path("docker"), docker)); err != nil {
		s.T.Fatal(err)
	}
	run := exec.Command(dockertest.Compose(s.T), "--progress", "plain", "-p", s.Name, "-f", "docker/docker-compose.yml", "-f", "lab.yml", "up", "-d", "--no-build", "--pull", "never")
	run.Dir, run.Env = s.Host.Project, append(os.Environ(), "DB_PASSWORD=the-database's", "GRAFANA_PASSWORD=grafana's-own", "ERLMCP_CONFIG=staging.config")
	if text, err := run.CombinedOutput(); err != nil || regexp.MustCompile(`(?i)creat|remov`).Match(text) {
		s.T.Errorf("docker compose does not take it for its own: %v\n%s", err, text)
	}
}
