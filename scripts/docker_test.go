package scripts_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/erlmcp/runner/builtins/compose/model"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/secret"
	"github.com/erlmcp/runner/scripts"
)

func text(t *testing.T, name string) string {
	t.Helper()
	b, err := fs.ReadFile(scripts.FS, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// staged is the stack as a project without files of its own has it.
func staged(t *testing.T) *model.Model {
	t.Helper()
	h := &host.Host{Files: host.OS{}, Project: t.TempDir(), Standard: scripts.FS, Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}}}
	env := map[string]secret.Text{"DB_PASSWORD": secret.Plain("d4tabase"), "GRAFANA_PASSWORD": secret.Plain("gr4fana-")}
	m, err := model.Load(t.Context(), h, stack.Project{Name: "erlmcp", Files: []string{"docker/docker-compose.yml"}, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The stack is the seven services at their ports, and nothing in it is left out by an engine without Swarm.
func TestStack(t *testing.T) {
	m := staged(t)
	if len(m.Ignored) > 0 {
		t.Errorf("ignored: %v", m.Ignored)
	}
	set, err := m.Set(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range set.Containers {
		ports := ""
		for at, to := range c.Host.PortBindings {
			ports += " " + to[0].HostIP.String() + ":" + to[0].HostPort + "->" + at.Port()
		}
		got = append(got, c.Service+ports)
	}
	want := []string{"dashboard 127.0.0.1:3000->3000", "erlmcp 127.0.0.1:8080->8080", "grafana 127.0.0.1:3001->3000", "jaeger 127.0.0.1:16686->16686", "otel-collector", "postgres", "prometheus 127.0.0.1:9090->9090"}
	if !slices.Equal(got, want) {
		t.Errorf("services and ports:\n%q, want\n%q", got, want)
	}
	if !slices.Contains(m.Project.Services["prometheus"].Command, "--storage.tsdb.retention.time=30d") {
		t.Error("prometheus does not keep 30 days")
	}
}

// What holds of every service: it says how healthy it is, within limits, without rights, and holds no secret that
// anybody who lists containers can read.
func TestServicesAreConfined(t *testing.T) {
	laid := []string{"grafana", "postgres"} // their passwords are laid into them, which no engine does to a read-only root
	for name, s := range staged(t).Project.Services {
		limits := s.Deploy.Resources.Limits
		for what, holds := range map[string]bool{
			"a health check that is quick at the start":  s.HealthCheck != nil && len(s.HealthCheck.Test) > 1 && s.HealthCheck.StartInterval != nil,
			"limits of CPU, memory and processes":        limits != nil && limits.NanoCPUs > 0 && limits.MemoryBytes > 0 && limits.Pids > 0,
			"a read-only root, or a secret laid into it": s.ReadOnly != slices.Contains(laid, name),
			"a user that is not root":                    s.User != "" && !strings.HasPrefix(s.User, "0") && !strings.HasPrefix(s.User, "root"),
			"no capabilities":                            slices.Equal(s.CapDrop, []string{"ALL"}) && len(s.CapAdd) == 0 && !s.Privileged,
			"no new privileges":                          slices.Contains(s.SecurityOpt, "no-new-privileges:true"),
			"a time to stop in":                          s.StopGracePeriod != nil,
			"a restart policy":                           s.Restart == "unless-stopped",
			"a bounded log":                              s.Logging.Options["max-size"] != "" && s.Logging.Options["max-file"] != "",
			"a pinned image or a recipe":                 s.Build != nil || pinned(s.Image),
			"networks of its own":                        len(s.Networks) > 0 && !slices.Contains(s.NetworksByPriority(), "default"),
			"no file of this machine":                    !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Type != "volume" }),
		} {
			if !holds {
				t.Errorf("%s lacks %s", name, what)
			}
		}
		b, err := json.Marshal(s)
		if err != nil || strings.Contains(string(b), "d4tabase") || strings.Contains(string(b), "gr4fana-") {
			t.Errorf("%s holds a password: %s, %v", name, b, err)
		}
	}
}

func pinned(image string) bool { return regexp.MustCompile(`:v?\d+\.\d+`).MatchString(image) }

var argument = regexp.MustCompile(`(?m)^ARG \w+=(\S*[:/]\S*)$`)

// The images that are built come from pinned ones; those that are our own run as uid 1000 and know how healthy they are.
func TestDockerfiles(t *testing.T) {
	for name, own := range map[string]bool{"production": true, "dashboard": true, "monitoring": false} {
		file := text(t, "docker/Dockerfile."+name)
		bases := argument.FindAllStringSubmatch(file, -1)
		for _, b := range bases {
			if _, tag, _ := strings.Cut(b[1], ":"); !regexp.MustCompile(`\d`).MatchString(tag) {
				t.Errorf("%s: %s is not pinned", name, b[1])
			}
		}
		if len(bases) == 0 || regexp.MustCompile(`(?m)^FROM [^$]`).MatchString(file) {
			t.Errorf("%s: its bases are no arguments", name)
		}
		if own && (!strings.Contains(file, "\nUSER 1000:1000\n") || !strings.Contains(file, "\nHEALTHCHECK ")) {
			t.Errorf("%s: want uid 1000 and a health check", name)
		}
	}
}

// Every metric on the Grafana dashboard is one that the application exposes.
func TestDashboardShowsWhatIsExposed(t *testing.T) {
	source, err := os.ReadFile("../testdata/apps/erlmcp/src/erlmcp_metrics.erl")
	if err != nil {
		t.Fatal(err)
	}
	exposed := map[string]bool{"erlmcp_build_info": strings.Contains(string(source), "erlmcp_build_info{version=")}
	for _, m := range regexp.MustCompile(`(?m)^\s+(\w+) => `).FindAllStringSubmatch(string(source), -1) {
		exposed["erlmcp_"+m[1]] = true
	}
	kinds := regexp.MustCompile(`erlang:memory\(\[([^]]+)\]\)`).FindStringSubmatch(string(source))
	for kind := range strings.SplitSeq(kinds[1], ", ") {
		exposed["erlmcp_memory_"+kind] = true
	}
	board := text(t, "docker/grafana-dashboard.json")
	if !json.Valid([]byte(board)) {
		t.Fatal("the dashboard is no JSON")
	}
	shown := map[string]bool{}
	for _, m := range regexp.MustCompile(`"expr": "(.*)"`).FindAllStringSubmatch(board, -1) {
		for _, name := range regexp.MustCompile(`erlmcp_\w+`).FindAllString(m[1], -1) {
			shown[name] = true
			if !exposed[name] {
				t.Errorf("the dashboard shows %s, which the application does not expose", name)
			}
		}
	}
	if len(shown) < 12 || len(exposed) < 15 {
		t.Errorf("it shows %d of %d", len(shown), len(exposed))
	}
}
