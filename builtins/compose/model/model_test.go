package model

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/template"

	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/secret"
)

func loaded(t testing.TB, env map[string]string, files map[string]string) *Model {
	t.Helper()
	m, err := Load(t.Context(), at(write(t, files), env), projectOf("shop"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func setOf(t testing.TB, m *Model) shape.Set {
	t.Helper()
	s, err := m.Set(nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A project's Set is the same whenever it is made, and survives being written down.
func TestCorpus(t *testing.T) {
	dir, names := corpus(t)
	env := map[string]string{"IMAGE": "image:1", "NAME": "there"}
	for _, name := range names {
		var texts [2]string
		for i := range texts {
			m, err := Load(t.Context(), at(dir, env), projectOf("shop", name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(setOf(t, m))
			if err != nil {
				t.Fatal(err)
			}
			texts[i] = string(b)
			var back shape.Set
			if err := json.Unmarshal(b, &back); err != nil {
				t.Fatal(err)
			}
			if again, _ := json.Marshal(back); string(again) != texts[i] {
				t.Errorf("%s: it changes when it is written down", name)
			}
		}
		if texts[0] != texts[1] {
			t.Errorf("%s: two Sets of one project differ", name)
		}
	}
}

// The hashes are those that Compose 5.6.0 prints for this file: docker compose config --hash '*'.
func TestHash(t *testing.T) {
	m := loaded(t, nil, map[string]string{"compose.yaml": hashed})
	for _, s := range setOf(t, m).Services {
		if got := shape.Hash(s.Source); got != hashes[s.Name] {
			t.Errorf("%s: %s, want %s", s.Name, got, hashes[s.Name])
		}
		if got, err := s.HashWith(nil); err != nil || got != hashes[s.Name] {
			t.Errorf("%s: with nobody's ID it is %s, %v", s.Name, got, err)
		}
	}
	shares := setOf(t, m).Services[0]
	if got, _ := shares.HashWith(map[string]string{"web": "0123"}); got == hashes[shares.Name] || !slices.Equal(shares.Shares(), []string{"web"}) {
		t.Errorf("the ID is not in the hash; shares %v", shares.Shares())
	}
}

// A text is what the reference makes of it, and what is missing is remembered.
func TestExpand(t *testing.T) {
	env := map[string]string{"A": "1", "EMPTY": "", "LONG_name2": "x y"}
	look := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	pieces := []string{"a", "$", "$$", "${A}", "$A", "$LONG_name2", "${EMPTY:-d}", "${EMPTY-d}", "${NO:-d}", "${NO-${A}}", "${A:+p}", "${EMPTY:+p}", "${NO+p}", "${A+${NO:-q}}",
		"${A:?why}", "${EMPTY?why}", "-", "}", "{", "1", ":-", "${A:-{x}}", "${NO:-a-b:?c}"}
	for _, x := range pieces {
		for _, y := range pieces {
			for _, z := range pieces {
				text := x + y + z
				want, err := template.SubstituteWithOptions(text, look, template.WithoutLogging)
				if err != nil {
					continue
				}
				e := &expander{}
				if got, _ := e.expand(text, look); got != want || len(e.broken) > 0 {
					t.Fatalf("%q is %q, want %q (broken: %q)", text, got, want, e.broken)
				}
			}
		}
	}
}

// Secrets come before the environment, that before files of variables, and every value's origin is known.
func TestOrigins(t *testing.T) {
	dir := write(t, map[string]string{
		"compose.yaml": "services:\n  web:\n    image: ${A}${B}${C}${D:-d}\n",
		".env":         "# first\nA=file\nB=file\n\nexport C=file\n",
	})
	p := projectOf("shop")
	p.Env = map[string]secret.Text{"A": secret.Env("TOKEN")}
	m, err := Load(t.Context(), at(dir, map[string]string{"A": "shell", "B": "shell", "TOKEN": "secret"}), p)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Project.Services["web"].Image; got != "secretshellfiled" {
		t.Errorf("the image is %s", got)
	}
	want := []Origin{{"A", "secrets", true}, {"B", "the environment", false}, {"C", ".env:5", false}, {"D", "default", false}}
	if !reflect.DeepEqual(m.Origins, want) {
		t.Errorf("%+v", m.Origins)
	}
}

// Start-first is honoured where two containers can be there at once, and why not is said.
func TestOrder(t *testing.T) {
	for extra, want := range map[string]string{
		"":                           "true its files say start-first",
		`ports: ["8080:80"]`:         "false it publishes port 8080, which one container can hold",
		`ports: ["80"]`:              "true its files say start-first",
		"container_name: one":        "false its container has a name of its own, one",
		"network_mode: host":         "false it has the ports of the host",
		`volumes: ["data:/data"]`:    "false it writes the volume data, and was never meant to do that twice at once",
		`volumes: ["data:/data:ro"]`: "true its files say start-first",
		"networks: {default: {ipv4_address: 10.0.0.9}}": "false it has an address of its own",
	} {
		m := loaded(t, nil, map[string]string{"compose.yaml": "services:\n  web:\n    image: a\n    deploy: {update_config: {order: start-first}}\n    " + extra + "\nvolumes: {data: {}}\n"})
		if s := setOf(t, m).Services[0]; fmt.Sprint(s.StartFirst, " ", s.Order) != want {
			t.Errorf("%s: %t %s, want %s", extra, s.StartFirst, s.Order, want)
		}
	}
}

// What only Swarm honours is named, with its place.
func TestIgnored(t *testing.T) {
	m := loaded(t, nil, map[string]string{"compose.yaml": "services:\n  web:\n    image: a\n    deploy:\n      placement: {max_replicas_per_node: 1}\n      update_config: {order: start-first, parallelism: 2}\n    ports:\n      - {target: 80, mode: host}\n"})
	var got []string
	for _, n := range m.Ignored {
		got = append(got, n.At+" "+n.Path)
	}
	slices.Sort(got)
	want := []string{"compose.yaml:5:7 services.web.deploy.placement", "compose.yaml:6:7 services.web.deploy.update_config", "compose.yaml:7:5 services.web.ports.80.mode"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// The files that are read are those that Compose would read.
func TestFind(t *testing.T) {
	one := "services: {web: {image: a}}\n"
	for want, files := range map[string]map[string]string{
		"compose.yaml":                      {"compose.yaml": one, "docker-compose.yml": one},
		"docker-compose.yml":                {"docker-compose.yml": one},
		"compose.yml compose.override.yaml": {"compose.yml": one, "compose.override.yaml": one},
		"a/x.yaml a/y.yaml":                 {"a/x.yaml": one, "a/y.yaml": one, ".env": "COMPOSE_FILE=a/x.yaml:a/y.yaml\n"},
	} {
		dir := write(t, files)
		m, err := Load(t.Context(), at(dir, nil), projectOf("shop"))
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		var names []string
		for _, f := range m.Files {
			rel, _ := filepath.Rel(dir, f)
			names = append(names, rel)
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%q are read, want %s", names, want)
		}
	}
}
