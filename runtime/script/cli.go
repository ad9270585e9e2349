package script

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// Call is a command line as main takes it.
type Call struct {
	Environment string // "" where main takes none
	Help        string // what --help prints; then nothing else is set

	values map[string]starlark.Value
}

// Parse reads what stands behind the script's name. extra is a pointer to a struct of the caller's own flags, tagged for
// kong; they are filled, and main cannot have them. Errors are *Usage, or a mistake in the script.
func (s *Script) Parse(args []string, extra any) (Call, error) {
	if err := s.reserved(extra); err != nil {
		return Call{}, err
	}
	if asksHelp(args) {
		help, err := s.help(extra)
		return Call{Help: help}, err
	}
	form := s.formOf(extra)
	k, err := kong.New(form.Interface(), kong.NoDefaultHelp(), kong.Name("runner"))
	if err != nil {
		return Call{}, err
	}
	if _, err := k.Parse(args); err != nil {
		return Call{}, s.explainFlag(err, k)
	}
	return s.fill(form.Elem())
}

func asksHelp(args []string) bool {
	for _, a := range args {
		switch a {
		case "--":
			return false
		case "--help", "-h":
			return true
		}
	}
	return false
}

// flags are the parameters of main that are flags.
func (s *Script) flags() []Param {
	return slices.DeleteFunc(slices.Clone(s.Signature.Params), func(p Param) bool { return p.Required })
}

// formOf makes a struct for kong: the caller's flags, a pointer field for each flag of main, and one for each argument
// that may stand without a flag.
func (s *Script) formOf(extra any) reflect.Value {
	fields := []reflect.StructField{{Name: "Runner", Type: reflect.TypeFor[any](), Tag: `embed:""`}}
	for i, p := range s.flags() {
		tag := fmt.Sprintf(`name:%q help:%q`, p.Flag(), strings.NewReplacer(`"`, `'`, "${", "$ {").Replace(p.Doc))
		if p.Type == TypeBool {
			tag += ` negatable:""`
		}
		fields = append(fields, reflect.StructField{Name: "F" + strconv.Itoa(i), Type: goType(p.Type), Tag: reflect.StructTag(tag)})
	}
	for i := range s.positional() {
		fields = append(fields, reflect.StructField{Name: "A" + strconv.Itoa(i), Type: reflect.TypeFor[*string](), Tag: `arg:"" optional:""`})
	}
	form := reflect.New(reflect.StructOf(fields))
	if extra == nil {
		extra = &struct{}{}
	}
	form.Elem().Field(0).Set(reflect.ValueOf(extra))
	return form
}

// goType is the Go type of a flag: a pointer, nil where the flag is not given.
func goType(t Type) reflect.Type {
	switch t {
	case TypeBool:
		return reflect.TypeFor[*bool]()
	case TypeInt:
		return reflect.TypeFor[*int64]()
	case TypeFloat:
		return reflect.TypeFor[*float64]()
	case TypeDuration:
		return reflect.TypeFor[*op.Duration]()
	}
	return reflect.TypeFor[*string]()
}

// fill takes main's arguments from the form. What stands without a flag fills the required parameters, then the
// optional texts, in their order.
func (s *Script) fill(form reflect.Value) (Call, error) {
	c := Call{values: map[string]starlark.Value{}}
	for i, p := range s.flags() {
		if v := form.FieldByName("F" + strconv.Itoa(i)); !v.IsNil() {
			c.values[p.Name] = flagValue(v.Elem())
		}
	}
	var rest []string
	for i := range s.positional() {
		if v := form.FieldByName("A" + strconv.Itoa(i)); !v.IsNil() {
			rest = append(rest, v.Elem().String())
		}
	}
	for _, p := range s.positional() {
		if _, given := c.values[p.Name]; !given && len(rest) > 0 {
			c.values[p.Name], rest = starlark.String(rest[0]), rest[1:]
		}
	}
	if len(rest) > 0 {
		return Call{}, s.tooMany(rest[0])
	}
	return c, s.complete(&c)
}

// positional are the parameters that arguments without a flag fill: the required ones, and the optional texts that
// follow them directly. A text behind a switch, and a reason to go on all the same, is never filled by accident.
func (s *Script) positional() []Param {
	out := slices.DeleteFunc(slices.Clone(s.Signature.Params), func(p Param) bool { return !p.Required })
	for _, p := range s.flags() {
		if p.Type != TypeString || p.Name == forceParam {
			break
		}
		out = append(out, p)
	}
	return out
}

func flagValue(v reflect.Value) starlark.Value {
	switch v := v.Interface().(type) {
	case bool:
		return starlark.Bool(v)
	case int64:
		return starlark.MakeInt64(v)
	case float64:
		return starlark.Float(v)
	case op.Duration:
		return starlark.String(v.String())
	}
	return starlark.String(v.String())
}

// complete asks that nothing is missing, and that the environment is one.
func (s *Script) complete(c *Call) error {
	for _, p := range s.Signature.Params {
		v, given := c.values[p.Name]
		if p.Required && !given {
			if p.Name == environmentParam {
				return usage(EnvironmentsHint(s.Environments), "%s wants an environment", s.Name)
			}
			return usage(s.usageLine(), "missing %s", p.Name)
		}
		if p.Name != environmentParam || !given {
			continue
		}
		c.Environment = string(v.(starlark.String))
		if !slices.Contains(s.Environments, c.Environment) {
			return usage(EnvironmentsHint(s.Environments), "there is no environment %s%s", c.Environment, builtin.DidYouMean(c.Environment, s.Environments))
		}
	}
	return nil
}

// EnvironmentsHint tells one who has named no environment, or none that is there, which there are.
func EnvironmentsHint(names []string) string {
	if len(names) == 0 {
		return environmentsFile + ` exports none: production = environment(app = "erlmcp", target = host(root = "/opt/erlmcp"))`
	}
	return environmentsFile + " has " + strings.Join(names, ", ")
}

// arguments are main's, with the environment in place of its name.
func (s *Script) arguments(c Call) []starlark.Tuple {
	var kwargs []starlark.Tuple
	for _, p := range s.Signature.Params {
		v, ok := c.values[p.Name]
		if ok && p.Name == environmentParam {
			v = s.loader.modules[environmentsFile].globals[c.Environment]
		}
		if v != nil {
			kwargs = append(kwargs, starlark.Tuple{starlark.String(p.Name), v})
		}
	}
	return kwargs
}

// model lists the names of the caller's own flags, negations included.
func model(extra any) ([]*kong.Flag, error) {
	if extra == nil {
		return nil, nil
	}
	k, err := kong.New(extra, kong.NoDefaultHelp(), kong.Name("runner"))
	if err != nil {
		return nil, err
	}
	return k.Model.Flags, nil
}

// reserved refuses a parameter of main that has the name of one of the caller's flags.
func (s *Script) reserved(extra any) error {
	own, err := model(extra)
	if err != nil {
		return err
	}
	taken := map[string]bool{"help": true}
	for _, f := range own {
		taken[f.Name] = true
		if f.Tag.Negatable != "" {
			taken["no-"+f.Name] = true
		}
	}
	for _, p := range s.flags() {
		if taken[p.Flag()] || p.Type == TypeBool && taken["no-"+p.Flag()] {
			return &sourced{atParam(p.pos, op.Hint(fmt.Errorf("main cannot have the parameter %s: --%s is a flag of runner itself", p.Name, p.Flag()),
				"give it another name")), s.loader}
		}
	}
	return nil
}

// explainFlag is kong's error in our words.
func (s *Script) explainFlag(err error, k *kong.Kong) error {
	var names []string
	for _, f := range k.Model.Flags {
		names = append(names, "--"+f.Name)
		if f.Tag.Negatable != "" {
			names = append(names, "--no-"+f.Name)
		}
	}
	text := err.Error()
	if flag, ok := strings.CutPrefix(text, "unknown flag "); ok {
		flag, _, _ = strings.Cut(flag, ",")
		return usage(fmt.Sprintf("runner %s --help lists the flags", s.Name), "there is no flag %s%s", flag, builtin.DidYouMean(flag, names))
	}
	if arg, ok := strings.CutPrefix(text, "unexpected argument "); ok {
		arg, _, _ = strings.Cut(arg, ",")
		return s.tooMany(arg)
	}
	var parse *kong.ParseError
	if errors.As(err, &parse) {
		if flag, _, ok := strings.Cut(text, ": expected "); ok && strings.Contains(text, `got "EOL"`) {
			return usage(s.usageLine(), "%s wants a value", flag)
		}
		return usage(s.usageLine(), "%s", inWords.Replace(text))
	}
	return err
}

var inWords = strings.NewReplacer("expected a valid 64 bit int but got", "want an int, got", "expected a float but got", "want a number, got",
	"bool value must be true, 1, yes, false, 0 or no but got", "want true or false, got")

func (s *Script) tooMany(arg string) error {
	return usage(s.usageLine(), "there is no parameter for %q", arg)
}
