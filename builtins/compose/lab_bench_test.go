//go:build labs

package compose

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/docker/dockertest"
	"github.com/erlmcp/runner/builtins/stack"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/client"
)

// rivals are three projects of the same files on one engine: one that ops of this process bring up, one that the real
// program does, and one that Docker Compose does.
type rivals struct {
	*lab
	b                       *testing.B
	runner, compose         string // the programs
	inside, program, theirs string // the projects
	version, keys           int
}

const rivalServices = `x-each: &each
  image: %s
  command: [serve]
  healthcheck: {test: [CMD, /prog, check], interval: 1s, timeout: 5s, retries: 30}
  stop_grace_period: 5s
services:
  db: {<<: *each, volumes: ["data:/data"]}
  api: {<<: *each, depends_on: {db: {condition: service_healthy}}}
  worker: {<<: *each, depends_on: {db: {condition: service_healthy}}}
  web: {<<: *each, environment: {VERSION: "%d"}, depends_on: {api: {condition: service_healthy}, worker: {condition: service_healthy}}}
volumes: {data: {}}
`

const rivalScripts = `
def main(environment, do = "up"):
    lease(environment)
    if do == "down":
        compose.down(environment.target)
    else:
        compose.up(environment.target)
    if do != "up":
        commit("nothing needs what was before")
        compose.prune(environment.target)
`

func newRivals(b *testing.B) *rivals {
	b.Helper()
	l := newLab(b)
	l.say("1")
	l.build()
	r := &rivals{lab: l, b: b, runner: filepath.Join(b.TempDir(), "runner"), compose: dockertest.Compose(b),
		inside: l.Name + "-inside", program: l.Name + "-program", theirs: l.Name + "-theirs"}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", r.runner, "../../cmd/runner")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	r.timed(build)
	l.Write("environments.star", fmt.Sprintf("bench = environment(app = \"bench\", target = compose_project(%q))\n", r.program))
	l.Write("bench.star", rivalScripts)
	r.change()
	b.Cleanup(func() { r.b = b; r.clear(r.inside, r.program, r.theirs) })
	return r
}

// change has the files ask for another container of one service.
func (r *rivals) change() {
	r.version++
	r.Write("compose.yaml", fmt.Sprintf(rivalServices, r.image, r.version))
}

func (r *rivals) timed(cmd *exec.Cmd) time.Duration {
	r.b.Helper()
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(begun)
	if err != nil {
		r.b.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return took
}

func (r *rivals) command(program string, args ...string) time.Duration {
	r.b.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = r.Host.Project, r.Host.Env
	return r.timed(cmd)
}

// ours is the real program, from its start to its end.
func (r *rivals) ours(do string) time.Duration {
	r.b.Helper()
	return r.command(r.runner, "bench.star", "bench", "--do", do, "--output", "plain")
}

// reference is Docker Compose, likewise.
func (r *rivals) reference(args ...string) time.Duration {
	r.b.Helper()
	return r.command(r.compose, append([]string{"--progress", "plain", "-p", r.theirs}, args...)...)
}

// op is the ops in this process, as ours does them.
func (r *rivals) op(do string) time.Duration {
	r.b.Helper()
	r.keys++
	p, key := stack.Project{Name: r.inside}, op.Key(fmt.Sprintf("20260126t120000-b%d/1", r.keys))
	begun := time.Now()
	var err error
	if do == "down" {
		_, err = Down{Project: p, Timeout: defaultHalt, Key: key}.Do(context.Background(), r.d)
	} else {
		u := defaultUp()
		u.Project, u.Key = p, key
		_, err = u.Do(context.Background(), r.d)
	}
	if do != "up" && err == nil {
		_, err = Prune{Project: p, Keep: 5, Key: key}.Do(context.Background(), r.d)
	}
	if err != nil {
		r.b.Fatal(err)
	}
	return time.Since(begun)
}

// clear removes all that projects have on the engine, as if they had never been there.
func (r *rivals) clear(projects ...string) {
	r.b.Helper()
	ctx := context.Background()
	var bad error
	for _, p := range projects {
		of := client.Filters{}.Add("label", "com.docker.compose.project="+p)
		boxes, err := r.Engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: of})
		bad = errors.Join(bad, err)
		for _, c := range boxes.Items {
			_, err := r.Engine.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true})
			bad = errors.Join(bad, err)
		}
		networks, err := r.Engine.NetworkList(ctx, client.NetworkListOptions{Filters: of})
		bad = errors.Join(bad, err)
		for _, n := range networks.Items {
			_, err := r.Engine.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
			bad = errors.Join(bad, err)
		}
		volumes, err := r.Engine.VolumeList(ctx, client.VolumeListOptions{Filters: client.Filters{}.Add("name", "^"+p+"_")})
		bad = errors.Join(bad, err)
		for _, v := range volumes.Items {
			_, err := r.Engine.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{Force: true})
			bad = errors.Join(bad, err)
		}
	}
	if bad != nil {
		r.b.Error(bad)
	}
}

// sincePassed is how long ago the last of a project's checks passed for the first time, by the containers' word.
func (r *rivals) sincePassed(project string) time.Duration {
	r.b.Helper()
	now, last := time.Now(), time.Time{}
	for _, service := range []string{"db", "api", "worker", "web"} {
		got, err := r.Engine.CopyFromContainer(context.Background(), project+"-"+service+"-1", client.CopyFromContainerOptions{SourcePath: "/passed"})
		if err != nil {
			r.b.Fatal(err)
		}
		t := tar.NewReader(got.Content)
		_, err = t.Next()
		text, e := io.ReadAll(t)
		got.Content.Close()
		n, bad := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err := errors.Join(err, e, bad); err != nil {
			r.b.Fatal(err)
		}
		if at := time.Unix(0, n); at.After(last) {
			last = at
		}
	}
	return now.Sub(last)
}

// turns are the times of one case: of the program, of the ops, and of Docker Compose.
type turns struct{ program, inside, theirs []time.Duration }

func (t *turns) report(b *testing.B) {
	program, inside, theirs := middle(t.program), middle(t.inside), middle(t.theirs)
	b.ReportMetric(float64(program.Nanoseconds()), "ns/op")
	b.ReportMetric(theirs.Seconds()*1000, "ms-compose")
	b.ReportMetric(float64(program)/float64(theirs), "x-compose")
	b.ReportMetric(inside.Seconds()*1000, "ms-inside")
	b.ReportMetric(float64(inside)/float64(theirs), "x-inside")
}

func middle(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// BenchmarkLabCompose is what is done to a project of four services, three deep, that wait for one another to be healthy:
// by a script that takes the lease and calls compose.up or compose.down, from the program's start to its end (ns/op), by
// the ops alone (ms-inside), and by Docker Compose. Where something is left aside, runner prunes it, as the rival does.
func BenchmarkLabCompose(b *testing.B) {
	r := newRivals(b)
	raise := func() { r.op("up"); r.ours("up"); r.reference("up", "-d", "--wait") }
	b.Run("first", func(b *testing.B) { // and how long it goes on behind the last check that has passed
		r.b = b
		var t, noticed turns
		for b.Loop() {
			r.clear(r.inside, r.program, r.theirs)
			t.program = append(t.program, r.ours("up"))
			noticed.program = append(noticed.program, r.sincePassed(r.program))
			t.inside = append(t.inside, r.op("up"))
			noticed.inside = append(noticed.inside, r.sincePassed(r.inside))
			t.theirs = append(t.theirs, r.reference("up", "-d", "--wait"))
			noticed.theirs = append(noticed.theirs, r.sincePassed(r.theirs))
		}
		t.report(b)
		b.ReportMetric(middle(noticed.inside).Seconds()*1000, "ms-noticed")
		b.ReportMetric(middle(noticed.program).Seconds()*1000, "ms-noticed-program")
		b.ReportMetric(middle(noticed.theirs).Seconds()*1000, "ms-noticed-compose")
	})
	for _, c := range []struct {
		name   string
		before func()
		ours   string
		theirs []string
	}{
		{"same", func() {}, "up", []string{"up", "-d", "--wait"}},
		{"change", r.change, "change", []string{"up", "-d", "--wait"}},
		{"down", raise, "down", []string{"down"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			r.b = b
			raise()
			var t turns
			for b.Loop() {
				c.before()
				t.program, t.inside, t.theirs = append(t.program, r.ours(c.ours)), append(t.inside, r.op(c.ours)), append(t.theirs, r.reference(c.theirs...))
			}
			t.report(b)
		})
	}
}
