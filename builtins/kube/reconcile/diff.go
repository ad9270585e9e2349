package reconcile

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/op"
)

// Foreseen is what the server says that a plan would do.
type Foreseen struct {
	Lines   []string // for people
	Refused []error  // what would be refused, by the order of acts
}

// Foresee asks the server what each act would change, by one request that changes nothing.
func (p *Plan) Foresee(ctx context.Context, c *api.Conn, o Options) (Foreseen, error) {
	texts, refused := make([][]string, len(p.Acts)), make([]error, len(p.Acts))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, act := range p.Acts {
		g.Go(func() (err error) {
			texts[i], refused[i], err = act.foresee(ctx, c, o)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return Foreseen{}, err
	}
	var out Foreseen
	for _, t := range texts {
		out.Lines = append(out.Lines, t...)
	}
	rest := Plan{Gone: p.Gone, Notes: p.Notes}
	out.Lines = append(out.Lines, rest.Lines()...)
	if len(p.Acts) > 0 && len(p.Stay) > 0 {
		out.Lines = append(out.Lines, fmt.Sprintf("stays: %d objects", len(p.Stay)))
	}
	out.Refused = slices.DeleteFunc(refused, func(err error) bool { return err == nil })
	return out, nil
}

func (a Act) foresee(ctx context.Context, c *api.Conn, o Options) (lines []string, refused, err error) {
	if a.pending {
		return []string{fmt.Sprintf("+ %s: its namespace or kind comes with it, so the server has not checked it", a.Ref)}, nil, nil
	}
	then, err := c.Apply(ctx, a.Config, api.Applying{DryRun: true})
	if taken := conflicts(a.Ref, a.Live, err); len(taken) > 0 {
		r := sorted(taken, a.auto, o.Take)
		if a.Kind == Adopt {
			r.others = slices.DeleteFunc(r.others, (*Taken).migrates)
		}
		for _, t := range r.left {
			lines = append(lines, fmt.Sprintf("note: %s: %s is left to %s", a.Ref, t.Field, t.Manager))
		}
		if len(r.others) > 0 && !o.Take {
			return failing(lines, fmt.Errorf("cannot apply %s: %w", a.Ref, refusal(r.others)))
		}
		var config *api.Object
		if config, err = without(a.Config, r.left); err == nil {
			then, err = c.Apply(ctx, config, api.Applying{Force: true, DryRun: true})
		}
	}
	switch {
	case immutable(err) && o.Replace:
		return append(lines, fmt.Sprintf("~ %s is made anew: %s", a.Ref, plain(err))), nil, nil
	case err != nil && !api.IsRefusal(err):
		return nil, nil, err
	case immutable(err):
		return failing(lines, fixed(a.Ref, err))
	case err != nil && a.unsure(err):
		return append(lines, fmt.Sprintf("%s; the server cannot check it beforehand: %s", a, plain(err))), nil, nil
	case err != nil:
		return failing(lines, fmt.Errorf("cannot apply %s: %w", a.Ref, plain(err)))
	case a.Kind == Create:
		return append(lines, a.String()), nil, nil
	}
	changes := Differences(a.Live, then)
	if len(changes) == 0 {
		return append(lines, a.String()+"; nothing of it changes"), nil, nil
	}
	lines = append(lines, a.String())
	for _, change := range changes {
		lines = append(lines, "    "+change)
	}
	return lines, nil, nil
}

// unsure reports whether a request that only asks is refused where the true one may not be: what comes with a new object, as
// the account of a pod, is not there yet; and there are webhooks that take no such request.
func (a Act) unsure(err error) bool {
	says := func(text string) bool { return strings.Contains(err.Error(), text) }
	return says("does not support dry run") || a.Kind == Create && (api.IsNotFound(err) || api.IsForbidden(err) && says("not found"))
}

// failing adds what a run would fail by, and what to do.
func failing(lines []string, bad error) ([]string, error, error) {
	return append(lines, op.Fails+op.OneLine(bad)), bad, nil
}

// fixed is the error of an object whose field cannot be changed.
func fixed(r api.Ref, err error) error {
	return op.Hint(fmt.Errorf("cannot change %s: %w", r, plain(err)), "it must be made anew: kube.apply(..., replace = True) does that, and what it serves is gone meanwhile")
}

// noise is what changes by itself.
var noise = []string{"metadata.managedFields", "metadata.resourceVersion", "metadata.generation", "metadata.creationTimestamp", "metadata.uid", "status",
	"metadata.annotations." + RunKey, "metadata.annotations.deployment.kubernetes.io/revision"}

// Differences are the fields in which two states of an object differ, each in one line. What a Secret holds is not shown.
func Differences(a, b *api.Object) (out []string) {
	was, is := map[string]string{}, map[string]string{}
	flatten("", a.Object, was)
	flatten("", b.Object, is)
	hidden := a.GetKind() == "Secret"
	paths := slices.Concat(slices.Collect(maps.Keys(was)), slices.Collect(maps.Keys(is)))
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		if was[path] == is[path] || slices.ContainsFunc(noise, func(n string) bool {
			return path == n || strings.HasPrefix(path, n+".") || strings.HasPrefix(path, n+"[")
		}) {
			continue
		}
		before, after := was[path], is[path]
		if hidden && strings.HasPrefix(path, "data.") {
			before, after = size(before), size(after)
		}
		out = append(out, fmt.Sprintf("%s: %s -> %s", path, cmp.Or(cut(before), "(none)"), cmp.Or(cut(after), "(none)")))
	}
	return out
}

// size stands for a secret.
func size(value string) string {
	if value == "" {
		return ""
	}
	raw, _ := base64.StdEncoding.DecodeString(value)
	return fmt.Sprintf("(%d bytes)", len(raw))
}

const longest = 120 // characters of a value in a difference

func cut(s string) string {
	s = strings.ReplaceAll(s, "\n", "\\n")
	if r := []rune(s); len(r) > longest {
		return string(r[:longest]) + "..."
	}
	return s
}

// flatten gives each leaf of a value by its path. Items of a list that have a name go by that.
func flatten(path string, v any, into map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for name, child := range v {
			flatten(strings.TrimPrefix(path+"."+name, "."), child, into)
		}
	case []any:
		for i, item := range v {
			at := fmt.Sprint(i)
			if m, ok := item.(map[string]any); ok {
				for _, by := range []string{"name", "mountPath", "containerPort", "port", "type", "key"} {
					if m[by] != nil {
						at = fmt.Sprint(m[by])
						break
					}
				}
			}
			flatten(path+"["+at+"]", item, into)
		}
	default:
		into[path] = fmt.Sprint(v)
	}
}
