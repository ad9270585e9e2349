package script

import (
	"fmt"
	"regexp"
	"strings"
	"text/tabwriter"
)

// usageLine is how the script is called.
func (s *Script) usageLine() string {
	line := "usage: runner " + s.Name
	for _, p := range s.positional() {
		if p.Required {
			line += " " + strings.ToUpper(p.Name)
		} else {
			line += " [" + strings.ToUpper(p.Name) + "]"
		}
	}
	if len(s.flags()) > 0 {
		line += " [flags]"
	}
	return line
}

// help is what --help prints: usage, main's docstring, its parameters, and the caller's own flags.
func (s *Script) help(extra any) (string, error) {
	own, err := model(extra)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", s.usageLine())
	if s.Signature.Doc != "" {
		fmt.Fprintf(&b, "\n%s\n", s.Signature.Doc)
	}
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for i, p := range s.positional() {
		if !p.Required {
			break
		}
		if i == 0 {
			fmt.Fprintf(w, "\nArguments:\n")
		}
		doc := p.Doc
		if p.Name == environmentParam {
			doc = strings.TrimSpace(doc + " One of: " + strings.Join(s.Environments, ", ") + ".")
		}
		fmt.Fprintf(w, "  %s\t%s\n", strings.ToUpper(p.Name), doc)
	}
	for i, p := range s.flags() {
		if i == 0 {
			fmt.Fprintf(w, "\nFlags of %s:\n", s.Name)
		}
		fmt.Fprintf(w, "  %s\t%s\n", p.usage(), p.described())
	}
	for i, f := range own {
		if i == 0 {
			fmt.Fprintf(w, "\nFlags of runner:\n")
		}
		if !f.Hidden {
			summary := f.Summary()
			if f.Tag.Negatable != "" {
				summary = "--[no-]" + f.Name
			}
			fmt.Fprintf(w, "  %s\t%s\n", summary, f.Help)
		}
	}
	err = w.Flush()
	return trailing.ReplaceAllString(b.String(), ""), err
}

var trailing = regexp.MustCompile(`(?m) +$`)

// usage is the flag with what it takes.
func (p Param) usage() string {
	if p.Type == TypeBool {
		if p.Default != "" {
			return "--no-" + p.Flag()
		}
		return "--" + p.Flag()
	}
	return "--" + p.Flag() + "=" + strings.ToUpper(string(p.Type))
}

// described is the flag's doc with its default.
func (p Param) described() string {
	if p.Default == "" || p.Type == TypeBool {
		return p.Doc
	}
	return strings.TrimSpace(p.Doc + " Default: " + p.Default + ".")
}
