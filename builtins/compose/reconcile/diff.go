package reconcile

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/erlmcp/runner/builtins/compose/shape"
)

// maxCauses is how many differences stand in a plan's line, and maxValue how much of a value.
const (
	maxCauses = 3
	maxValue  = 60
)

// tree is a value as JSON has it, by path: "environment.LOG".
func tree(v any) map[string]string {
	out := map[string]string{}
	flatten(out, "", v)
	return out
}

func flatten(out map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			flatten(out, join(path, k), e)
		}
	case []any:
		if env := variables(path, v); env != nil {
			flatten(out, path, env)
			return
		}
		if len(v) > 0 {
			b, _ := json.Marshal(v)
			out[path] = string(b)
		}
	case nil:
	default:
		b, _ := json.Marshal(v)
		if s := string(b); s != `""` && s != "false" && s != "0" {
			out[path] = s
		}
	}
}

// variables makes a list of NAME=VALUE, where a path is an environment's, comparable name by name.
func variables(path string, list []any) map[string]any {
	if path != "environment" {
		return nil
	}
	out := map[string]any{}
	for _, e := range list {
		if s, ok := e.(string); ok {
			name, value, _ := strings.Cut(s, "=")
			out[name] = value
		}
	}
	return out
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// differences lists what differs between two trees, by path; each as "path: old -> new".
func differences(was, now map[string]string) (out []string) {
	paths := slices.Collect(maps.Keys(was))
	paths = append(paths, slices.Collect(maps.Keys(now))...)
	slices.Sort(paths)
	for _, p := range slices.Compact(paths) {
		if was[p] != now[p] {
			out = append(out, p+" "+change(p, was[p], now[p]))
		}
	}
	return out
}

func change(path, was, now string) string {
	env, inEnv := strings.CutPrefix(path, "environment.")
	if inEnv && shape.Hidden(env) || mayHoldSecret(path) {
		switch {
		case was == "":
			return "is set"
		case now == "":
			return "is no longer set"
		}
		return "has another value"
	}
	return clip(was) + " -> " + clip(now)
}

// mayHoldSecret are the parts of a service in which people write secrets, and of which no name says so.
func mayHoldSecret(path string) bool {
	return strings.HasSuffix(path, ".content") || strings.HasPrefix(path, "logging.options.") && shape.Hidden(path) ||
		strings.HasPrefix(path, "labels.") && shape.Hidden(path) || path == "command" || path == "entrypoint" || strings.HasPrefix(path, "healthcheck.test")
}

func clip(v string) string {
	if v == "" {
		return "none"
	}
	for len(v) > maxValue {
		v = v[:maxValue-1]
		for !utf8.ValidString(v) {
			v = v[:len(v)-1]
		}
		return v + "…"
	}
	return v
}

// few joins the first differences.
func few(all []string) string {
	if len(all) > maxCauses {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:maxCauses], ", "), len(all)-maxCauses)
	}
	return strings.Join(all, ", ")
}

// sourceDifferences compares two services of the resolved model.
func sourceDifferences(was, now json.RawMessage) []string {
	var a, b any
	if json.Unmarshal(was, &a) != nil || json.Unmarshal(now, &b) != nil {
		return nil
	}
	return differences(tree(a), tree(b))
}

// createDifferences compares what makes a container with what one was made with, in the fields that the new one sets:
// the engine and the image fill in others. Labels of Compose say nothing that people would know.
func createDifferences(was, now shape.Container, image Image) []string {
	old, asked := map[string]string{}, tree(written(now, Image{}))
	had := tree(written(was, Image{}))
	for p := range asked {
		old[p] = had[p]
	}
	for p, v := range tree(written(was, image)) {
		if strings.HasPrefix(p, "environment.") {
			old[p] = v
		}
	}
	return differences(old, asked)
}

// written is a container in the words of a Compose file, as far as they are the same.
func written(c shape.Container, image Image) map[string]any {
	out := map[string]any{}
	var config, host map[string]any
	remarshal(c.Config, &config)
	remarshal(c.Host, &host)
	for field, key := range map[string]string{"Cmd": "command", "Entrypoint": "entrypoint", "User": "user", "WorkingDir": "working_dir",
		"Healthcheck": "healthcheck", "StopSignal": "stop_signal", "StopTimeout": "stop_grace_period", "Domainname": "domainname", "Tty": "tty", "ExposedPorts": "expose"} {
		out[key] = config[field]
	}
	for field, v := range host {
		out[field] = v
	}
	for field, key := range map[string]string{"Memory": "mem_limit", "NanoCpus": "cpus", "PortBindings": "ports", "Mounts": "volumes", "Binds": "binds",
		"RestartPolicy": "restart", "ReadonlyRootfs": "read_only", "CapAdd": "cap_add", "CapDrop": "cap_drop", "LogConfig": "logging", "NetworkMode": "network_mode"} {
		out[key] = out[field]
		delete(out, field)
	}
	env := map[string]any{}
	for _, e := range c.Config.Env {
		name, value, _ := strings.Cut(e, "=")
		if !slices.Contains(image.Env, e) {
			env[name] = value
		}
	}
	labels := map[string]any{}
	for k, v := range c.Config.Labels {
		if !strings.HasPrefix(k, "com.docker.compose.") && !strings.HasPrefix(k, "org.erlmcp.runner.") {
			labels[k] = v
		}
	}
	out["environment"], out["labels"] = env, labels
	return out
}

func remarshal(v any, into any) {
	if reflect.ValueOf(v).IsNil() {
		return
	}
	b, _ := json.Marshal(v)
	json.Unmarshal(b, into)
}
