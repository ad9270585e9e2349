package script

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
)

// mistakesIn are the mistakes in a project of these files, a line each.
func mistakesIn(t *testing.T, files map[string]string, names ...string) []string {
	t.Helper()
	dir := t.TempDir()
	if _, ok := files[environmentsFile]; !ok {
		write(t, dir, environmentsFile, stockEnvironments)
	}
	for n, src := range files {
		write(t, dir, n, src)
	}
	p, err := FindProject(dir, stock, library)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	w := &world{}
	found, err := Check(t.Context(), p, names, Options{Families: families(w), Clock: host.SystemClock{}}, &struct{ Yes bool }{})
	if err != nil {
		t.Fatal(err)
	}
	if len(w.lines) > 0 {
		t.Errorf("the check has performed %v", w.lines)
	}
	var out []string
	for _, m := range found.Mistakes {
		out = append(out, fmt.Sprintf("%s: %s (%s)", m.At, m.Message, m.Hint))
	}
	return out
}

// TestCheckFinds wants each of the lines, as the beginning of a mistake, and no other.
func TestCheckFinds(t *testing.T) {
	for _, c := range []struct {
		name, src string
		want      []string
	}{
		{"nothing", "def main(environment, note = \"\"):\n    lease(environment)\n    print(note)", nil},
		{"a family's op", "def main():\n    releases.activte(\"/opt\", \"1\")",
			[]string{"deploy.star:2:14: releases has no activte (did you mean activate?) (releases has "}},
		{"an op that is named", "def main():\n    on_undo(health.wiat)",
			[]string{"deploy.star:2:20: health has no wiat (did you mean wait?)"}},
		{"a family", "def main():\n    relases.activate(\"/opt\", \"1\")",
			[]string{"deploy.star:2:5: there is no relases (did you mean releases?)"}},
		{"parameters of an op", "def main(root):\n    releases.activate(root, \"1\", timeuot = \"5s\", servcie = None)", []string{
			"deploy.star:2:34: releases.activate: there is no parameter timeuot (did you mean timeout?)",
			"deploy.star:2:50: releases.activate: there is no parameter servcie (did you mean service?)"}},
		{"a parameter that is missing", "def main(root):\n    releases.activate(root)",
			[]string{"deploy.star:2:5: releases.activate: missing id"}},
		{"too many", "def main(root):\n    releases.list(root, root)",
			[]string{"deploy.star:2:5: releases.list: takes 1 argument by position, got 2"}},
		{"what stars may bring", "def main(root):\n    releases.activate(*root)\n    releases.activate(id = \"1\", **root)", nil},
		{"a wrong name beside stars", "def main(root):\n    releases.activate(iid = \"1\", **root)",
			[]string{"deploy.star:2:23: releases.activate: there is no parameter iid (did you mean id?)"}},
		{"a constant of the wrong type", "def main(root):\n    releases.activate(root, 7, timeout = 5)", []string{
			"deploy.star:2:29: releases.activate: id: want a string, got int",
			"deploy.star:2:32: releases.activate: timeout: want a duration such as \"90s\", got int"}},
		{"a value in a value", "def main():\n    health.wait(probe(\"/\", withn = \"5s\"))",
			[]string{"deploy.star:2:28: probe: there is no parameter withn (did you mean within?)"}},
		{"a value for another", "def main(root):\n    releases.activate(root, \"1\", service = probe(\"/\"))",
			[]string{"deploy.star:2:34: releases.activate: service: want a systemd, got probe"}},
		{"stages and the like", "def main(environment):\n    stage()\n    stage(1)\n    lease(environment, why = \"\")\n    commit()\n    confirm(questoin = \"\")\n", []string{
			"deploy.star:2:5: stage: missing name", "deploy.star:3:11: stage: name: want a string, got int",
			"deploy.star:4:24: lease: there is no parameter why", "deploy.star:5:5: commit: missing message",
			"deploy.star:6:13: confirm: there is no parameter questoin (did you mean question?)", "deploy.star:6:5: confirm: missing question"}},
		{"on undo", "def main(environment):\n    on_undo(health.wait, environment.health, wthin = \"1s\")\n    on_undo(health.wait)\n    on_undo(health.wait, 7)", []string{
			"deploy.star:2:46: on_undo: health.wait: there is no parameter wthin (did you mean within?)",
			"deploy.star:3:5: on_undo: health.wait: missing probe", "deploy.star:4:26: on_undo: health.wait: probe: want a probe, got int"}},
		{"an effect while loading", "now = releases.list(\"/opt\")\ndef main():\n    print(now)",
			[]string{"deploy.star:1:7: releases.list has an effect and is called while loading (call it inside main)"}},
		{"a default with an effect", "def f(now = releases.list(\"/opt\")):\n    print(now)",
			[]string{"deploy.star:1:13: releases.list has an effect and is called while loading"}},
		{"names that are a function's own", "def main(releases):\n    releases.activte(1)\n\ndef other():\n    health = struct(wiat = 1)\n    print(health.wiat)", nil},
		{"modules", "def main():\n    json.encod(1)\n    print(run.idd, time.nwo())", []string{
			"deploy.star:2:10: json has no encod (did you mean encode?)", "deploy.star:3:15: struct has no idd (did you mean id?)",
			"deploy.star:3:25: time has no nwo (did you mean now?)"}},
		{"functions", "def roll(a, b = 1, *, c = 2):\n    pass\n\ndef main():\n    roll()\n    roll(1, 2, 3)\n    roll(1, d = 1)\n    roll(1, b = 1, c = 2)\n    roll(*[1])", []string{
			"deploy.star:5:5: roll needs a (it takes a, b, c)", "deploy.star:6:5: roll takes at most 2 arguments by position, got 3",
			"deploy.star:7:13: roll has no parameter d"}},
		{"functions with any number", "def roll(a, *b, c, **d):\n    pass\n\ndef main():\n    roll(1, 2, 3, c = 1, e = 5)\n    roll(1)",
			[]string{"deploy.star:6:5: roll needs c"}},
		{"functions of functions", "def main():\n    if run:\n        f = lambda x: x\n    else:\n        f = lambda: 1\n    f()\n    def g(x):\n        return x\n    g()", nil},
		{"functions that are loaded", "load(\"@std/verify.star\", check = \"verify\")\n\ndef main(environment):\n    check()\n    check(enviroment = 1)", []string{
			"deploy.star:4:5: check needs environment", "deploy.star:5:11: check has no parameter enviroment (did you mean environment?)", "deploy.star:5:5: check needs environment"}},
		{"what is loaded", "load(\"@std/verify.star\", \"verfy\", \"_x\")\nload(\"@std/verfy.star\", \"verify\")\nload(\"../other.star\", \"other\")\nload(\"@std/wrong.star\", \"y\")", []string{
			"@std/wrong.star:1:8: want a value here", "deploy.star:1:27: @std/verify.star has no verfy (did you mean verify?) (it has verify)",
			"deploy.star:1:36: load: names", "deploy.star:2:6: there is no file @std/verfy.star (did you mean @std/verify.star?)",
			"deploy.star:3:6: ../other.star lies outside the project"}},
		{"files in a ring", "load(\"@std/cyclic_a.star\", \"a\")", []string{"@std/cyclic_b.star:1:6: files load each other: @std/cyclic_a.star -> @std/cyclic_b.star -> @std/cyclic_a.star"}},
		{"main's parameters", "def main(environment, yes = False, *rest):\n    pass", []string{"deploy.star:1:5: main takes parameters by name, not * or **"}},
		{"main's defaults", "def main(environment, names = []):\n    pass", []string{"deploy.star:1:23: names: a default of main is a string, a number, True or False, got list"}},
		{"a flag of runner", "def main(environment, yes = False):\n    pass", []string{"deploy.star:1:23: main cannot have the parameter yes: --yes is a flag of runner itself"}},
		{"several at once", "def main():\n    x = 1 +\n", []string{"deploy.star:2:12: "}},
		{"a plan's mistakes", "def main():\n    undefined()\n    releases.lst()\n    releases.list()", []string{
			"deploy.star:2:5: there is no undefined", "deploy.star:3:14: releases has no lst", "deploy.star:4:5: releases.list: missing root"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := mistakesIn(t, map[string]string{"deploy.star": c.src}, "deploy.star")
			slices.Sort(got)
			slices.Sort(c.want)
			for i := range max(len(got), len(c.want)) {
				if i >= len(got) || i >= len(c.want) || !strings.HasPrefix(got[i], c.want[i]) {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
					return
				}
			}
		})
	}
}
