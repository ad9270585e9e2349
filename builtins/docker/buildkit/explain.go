package buildkit

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/erlmcp/runner/runtime/op"
	"google.golang.org/grpc/status"
)

var (
	parsePattern  = regexp.MustCompile(`(?s)(?:dockerfile|Dockerfile).*?parse error (?:on )?line (\d+): (.*)`)
	exitPattern   = regexp.MustCompile(`exit code: (\d+)`)
	copyPattern   = regexp.MustCompile(`"?(/[^":]*)"?:? not found`)
	stagePattern  = regexp.MustCompile(`target stage "?([^" ]+)"? could not be found`)
	noHostPattern = regexp.MustCompile(`lookup ([\w.-]+).*(?:no such host|server misbehaving|i/o timeout|Temporary failure|connection refused)`)
	secretPattern = regexp.MustCompile(`secret ([\w.-]+)?:? ?not found`)
	stepPattern   = regexp.MustCompile(`^\[[^\]]*\] `)
	wordsPattern  = regexp.MustCompile(`^(?:rpc error: code = \w+ desc = )?(?:failed to solve(?: with frontend [\w./:-]+)?: )?(?:rpc error: code = \w+ desc = )?(?:failed to (?:build LLB|create LLB definition|compute cache key|read dockerfile|solve)(?: with frontend [\w./:-]+)?: )*`)
)

// explain is the error of a build for people: the line of the Dockerfile, what the step did, how it ended, and the last
// that it printed.
func (b *build) explain(ctx context.Context, log *log, err error) error {
	st, ok := status.FromError(err)
	if !ok || ctx.Err() != nil {
		return err
	}
	message := b.host.Secrets.Scrubber.String(strings.TrimSpace(st.Message()))
	if m := parsePattern.FindStringSubmatch(message); m != nil {
		return fmt.Errorf("%s:%s: %s", b.file.shown, m[1], oneLine(m[2]))
	}
	if m := stagePattern.FindStringSubmatch(message); m != nil {
		return op.Hint(fmt.Errorf("%s has no stage %s", b.file.shown, m[1]), "a stage is named by FROM image AS name")
	}
	line, step := sourceLine(st), log.culprit()
	if step == nil {
		return b.unresolved(line, message)
	}
	name := stepPattern.ReplaceAllString(step.name, "")
	if line == 0 {
		line = b.file.find(name)
	}
	at := b.file.shown
	if line > 0 {
		at += ":" + strconv.Itoa(line)
	}
	if m := exitPattern.FindStringSubmatch(message); m != nil {
		var said strings.Builder
		for _, l := range step.last {
			said.WriteString("\n  " + clip(l))
		}
		return fmt.Errorf("%s: %s: exit %s%s", at, name, m[1], said.String())
	}
	if m := copyPattern.FindStringSubmatch(message); m != nil && !strings.HasPrefix(name, "RUN") {
		err := fmt.Errorf("%s: %s: %s is not there", at, name, strings.TrimPrefix(m[1], "/"))
		if b.tree.ignore != "" {
			return op.Hint(err, "it is looked for in %s, less what %s leaves out", b.tree.dir, b.tree.ignore)
		}
		return op.Hint(err, "it is looked for in %s", b.tree.dir)
	}
	if m := secretPattern.FindStringSubmatch(message); m != nil {
		return op.Hint(fmt.Errorf("%s: %s: a secret that it mounts is not given", at, name), "secrets = {id: secret.env(...)} gives it")
	}
	if strings.HasPrefix(name, "FROM") || strings.Contains(step.name, "load metadata") || strings.HasPrefix(name, "resolve image") {
		return b.unresolved(line, message)
	}
	return fmt.Errorf("%s: %s: %s", at, name, oneLine(wordsPattern.ReplaceAllString(message, "")))
}

// unresolved is the error of a build that came to no step of its own: an image that cannot be had, mostly.
func (b *build) unresolved(line int, message string) error {
	at, plain := b.file.shown, oneLine(wordsPattern.ReplaceAllString(message, ""))
	if strings.HasPrefix(strings.ToLower(strings.TrimSpace(b.file.text)), "# syntax") && strings.Contains(message, "frontend") {
		return op.Hint(fmt.Errorf("%s:1: its syntax image cannot be had: %s", at, plain), "leave the syntax line out: the engine has a syntax of its own")
	}
	if base, ok := b.missing(line, message); ok {
		at += ":" + strconv.Itoa(base.line)
		if m := noHostPattern.FindStringSubmatch(message); m != nil {
			plain = "the engine does not hold it, and finds no way to " + m[1]
		}
		return op.Hint(fmt.Errorf("%s: the image %s cannot be had: %s", at, base.name, plain), "pull, build or load it first, where the engine can reach its registry")
	}
	return fmt.Errorf("%s: %s", at, plain)
}

// missing is the image that an error is about.
func (b *build) missing(line int, message string) (base, bool) {
	for _, base := range b.file.bases(b.Args) {
		named, err := reference.ParseDockerRef(base.name)
		if err == nil && (base.line == line || strings.Contains(message, reference.Path(named)+"/manifests/") || strings.Contains(message, named.String())) {
			return base, true
		}
	}
	return base{}, false
}

// sourceLine is the line of the Dockerfile that BuildKit names in its error; 0 where it names none.
func sourceLine(st *status.Status) int {
	for _, d := range st.Proto().GetDetails() {
		if !strings.Contains(d.TypeUrl, "errdefs.Source") {
			continue
		}
		var source struct {
			Ranges []struct {
				Start struct{ Line int }
			}
		}
		if json.Unmarshal(d.Value, &source) == nil && len(source.Ranges) > 0 {
			return source.Ranges[0].Start.Line
		}
	}
	return 0
}

func clip(s string) string {
	if r := []rune(s); len(r) > 300 {
		return string(r[:299]) + "…"
	}
	return s
}
