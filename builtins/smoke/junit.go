package smoke

import (
	"encoding/xml"
	"fmt"
	"path/filepath"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/builtins/inside"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// The report in the form that continuous integration reads.
type (
	suite struct {
		XMLName    xml.Name   `xml:"testsuite"`
		Name       string     `xml:"name,attr"`
		Tests      int        `xml:"tests,attr"`
		Failures   int        `xml:"failures,attr"`
		Skipped    int        `xml:"skipped,attr"`
		Time       string     `xml:"time,attr"`
		Properties []property `xml:"properties>property"`
		Cases      []testcase `xml:"testcase"`
	}
	property struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	testcase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Time    string   `xml:"time,attr"`
		Failure *message `xml:"failure"`
		Skipped *message `xml:"skipped"` // an optional test that failed: it must not fail the build that reads this
	}
	message struct {
		Message string `xml:"message,attr"`
	}
)

// report is the whole file.
func (r Result) report(base, version string) ([]byte, error) {
	s := suite{Name: "smoke", Tests: len(r.Tests), Failures: r.Failed, Skipped: r.OptionalFailed, Time: seconds(r.Took),
		Properties: []property{{"base", base}}}
	if version != "" {
		s.Properties = append(s.Properties, property{"version", version})
	}
	for _, o := range r.Tests {
		c := testcase{Name: o.Name, Class: "smoke", Time: seconds(o.Took)}
		why := &message{fmt.Sprintf("want %s, got %s", o.Expected, o.Got)}
		switch {
		case o.Passed:
		case o.Optional:
			why.Message = "optional: " + why.Message
			c.Skipped = why
		default:
			c.Failure = why
		}
		s.Cases = append(s.Cases, c)
	}
	text, err := xml.MarshalIndent(s, "", "  ")
	return append([]byte(xml.Header), append(text, '\n')...), err
}

func seconds(d op.Duration) string { return fmt.Sprintf("%.3f", d.D().Seconds()) }

// reportFile is where the report is written, "" where there is none: a place that cannot be is refused before tests run.
func reportFile(h *host.Host, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	name, err := inside.Writable(h, "write", path)
	if err != nil {
		return "", err
	}
	info, err := h.Files.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("cannot write %s: it is %s", path, artifact.Kind(info.Mode()))
	}
	return name, nil
}

func (r Result) write(h *host.Host, file, base, version string) error {
	text, err := r.report(base, version)
	if err != nil {
		return err
	}
	if err := host.MkdirAll(h.Files, filepath.Dir(file), 0o755); err != nil {
		return artifact.Plainly(err)
	}
	if err := host.WriteFile(h.Files, file, text, 0o644); err != nil {
		return artifact.Plainly(err)
	}
	return nil
}
