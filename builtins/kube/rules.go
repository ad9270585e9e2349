package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/follow"
	"github.com/erlmcp/runner/builtins/kube/groups"
	"github.com/erlmcp/runner/builtins/kube/reconcile"
	"github.com/erlmcp/runner/builtins/kube/verdict"
	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// rules are how the author of a script says that custom resources stand.
type rules struct {
	by    map[string]op.Func
	noted map[string]bool // what is said once
	// undoing: a rule that goes wrong must not keep anything from being put back.
	undoing bool
	looking bool // nor anything from being told
}

// of are the rules as an op asks them.
func (r rules) of(ctx context.Context) follow.Rules {
	out := follow.Rules{}
	for kind, f := range r.by {
		out[kind] = func(o *verdict.Object) (verdict.Verdict, bool, error) { return r.ask(ctx, kind, f, o) }
	}
	return out
}

// ask has a rule judge an object. Where its function is not to be had, or goes wrong in an undo, it has no answer.
func (r rules) ask(ctx context.Context, kind string, f op.Func, o *verdict.Object) (verdict.Verdict, bool, error) {
	switch {
	case f.Call == nil:
		r.note(ctx, kind, fmt.Sprintf("%s is judged by its conditions: the rule %s of %s is not loaded as it was", kind, f.Name, f.Module))
		return verdict.Verdict{}, false, nil
	case ctx.Err() != nil:
		return verdict.Verdict{}, false, context.Cause(ctx)
	}
	said, err := f.Invoke(ctx, o.Object)
	if err == nil {
		var v verdict.Verdict
		if v, err = answer(said); err == nil {
			return v, true, nil
		}
	}
	err = fmt.Errorf("the rule %s (%s) for %s: %w", f.Name, f.At, kind, err)
	if r.looking {
		return verdict.ByRule(verdict.Suspect, err.Error()), true, nil
	}
	err = fmt.Errorf("%s: %w", api.RefOf(o), err)
	if r.undoing {
		r.note(ctx, kind, fmt.Sprintf("%s is judged by its conditions: %v", kind, err))
		return verdict.Verdict{}, false, nil
	}
	return verdict.Verdict{}, false, &op.Misuse{Err: err}
}

func (r rules) note(ctx context.Context, kind, text string) {
	if !r.noted[kind] {
		r.noted[kind] = true
		say(ctx, text)
	}
}

// answer is what a rule says: a state, and behind a colon why.
func answer(said any) (verdict.Verdict, error) {
	text, ok := said.(string)
	if !ok {
		return verdict.Verdict{}, op.Hint(fmt.Errorf(`want a state and why, such as "wait: it is being made", got %s`, called(said)),
			"every way through the function ends with return")
	}
	word, why, _ := strings.Cut(text, ":")
	state, why := verdict.State(strings.TrimSpace(word)), strings.TrimSpace(why)
	var words []string
	for _, s := range verdict.OfRule() {
		words = append(words, string(s))
	}
	switch {
	case !slices.Contains(verdict.OfRule(), state):
		return verdict.Verdict{}, fmt.Errorf("want %s, got %q%s", either(words), word, builtin.DidYouMean(string(state), words))
	case why != "":
	case state == verdict.Suspect || state == verdict.Doomed:
		return verdict.Verdict{}, fmt.Errorf(`%s wants a reason behind it, such as "%[1]s: its disk is full"`, state)
	default:
		why = map[verdict.State]string{verdict.Ready: "is ready", verdict.Wait: "is not ready yet", verdict.Skipped: "is not waited for"}[state]
	}
	return verdict.ByRule(state, why), nil
}

// misspelt are notes on rules for kinds that no object is of, where the kind of one is written much like it.
func misspelt(by map[string]op.Func, wants []reconcile.Want) (notes []string) {
	var kinds []string
	for _, r := range reconcile.Refs(wants) {
		if kind := r.Kind + "." + r.Group; groups.Custom(r.Group) && by[kind].Name == "" {
			kinds = append(kinds, kind)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(by)) {
		none := !slices.ContainsFunc(wants, func(w reconcile.Want) bool { r := api.RefOf(&w.Object); return r.Kind+"."+r.Group == kind })
		if guess := builtin.DidYouMean(kind, kinds); none && guess != "" {
			notes = append(notes, fmt.Sprintf("the rule for %s judges no object%s", kind, guess))
		}
	}
	return notes
}

func either(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func called(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "True or False"
	case int64, float64:
		return fmt.Sprint(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a dict"
	}
	return "something else"
}
