package cluster

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/kube/groups"
	"github.com/erlmcp/runner/runtime/op"
)

var (
	kindForm    = regexp.MustCompile(`^([A-Z][A-Za-z0-9]*)\.([a-z0-9.-]+)$`)
	versionForm = regexp.MustCompile(`^v[0-9]+((alpha|beta)[0-9]+)?\.`)
)

// checkRules refuses rules for what is no custom kind.
func checkRules(rules map[string]op.Func) error {
	for _, key := range slices.Sorted(maps.Keys(rules)) {
		m := kindForm.FindStringSubmatch(key)
		switch {
		case m == nil:
			return op.Hint(fmt.Errorf(`rules: want a kind and its group, such as "Database.example.com", got %q`, key),
				"both are written as in manifests: the group is what stands before the / of apiVersion")
		case versionForm.MatchString(m[2]):
			return op.Hint(fmt.Errorf("rules: want a kind and its group without a version, got %q", key),
				`write "%s.%s"`, m[1], m[2][strings.Index(m[2], ".")+1:])
		case !groups.Custom(m[2]):
			return op.Hint(fmt.Errorf("rules: %s is a kind of Kubernetes itself, and runner knows how it stands", key),
				"a rule is for a kind that only its own controller knows, such as Database.example.com")
		}
		if f := rules[key]; f.Call != nil && (f.Min > 1 || f.Max < 1) {
			return op.Hint(fmt.Errorf("rules: %s: want a function of one parameter, the live object, and %s (%s) is not", key, f.Name, f.At), "def %s(object):", f.Name)
		}
	}
	return nil
}
