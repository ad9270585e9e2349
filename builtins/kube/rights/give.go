package rights

import (
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// Role is a Role or a ClusterRole of a file, as far as it takes to give it to somebody.
type Role struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
}

// Namespace is the document of a file that describes a namespace; "" where none does.
func Namespace(text []byte, name string) (string, error) {
	for _, doc := range documents(text) {
		var r Role
		if err := yaml.Unmarshal([]byte(doc), &r); err != nil {
			return "", err
		}
		if r.Kind == "Namespace" && r.Metadata.Name == name {
			return strings.Trim(doc, "\n") + "\n", nil
		}
	}
	return "", nil
}

func documents(text []byte) []string { return strings.Split(string(text), "\n---") }

// Roles are the roles of a file.
func Roles(text []byte) (out []Role, err error) {
	for _, doc := range documents(text) {
		var r Role
		if err := yaml.Unmarshal([]byte(doc), &r); err != nil {
			return nil, err
		}
		if r.Kind == "Role" || r.Everywhere() {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("there is no Role in it")
	}
	return out, nil
}

// Everywhere reports whether the role is of no namespace.
func (r Role) Everywhere() bool { return r.Kind == "ClusterRole" }

// Binding is the object that gives the role to a "User" or a "Group". Its name has the namespace in it: those of a
// ClusterRole lie beside one another.
func (r Role) Binding(namespace, kind, who string) string {
	in := ""
	if !r.Everywhere() {
		in = ", namespace: " + namespace
	}
	return fmt.Sprintf(`apiVersion: rbac.authorization.k8s.io/v1
kind: %[1]sBinding
metadata: {name: %[2]s-%[3]s%[4]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: %[1]s, name: %[2]s}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: %[5]s, name: %[6]q}]
`, r.Kind, r.Metadata.Name, namespace, in, kind, who)
}
