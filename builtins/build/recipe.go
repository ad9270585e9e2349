package build

import (
	"cmp"
	"path/filepath"
)

// Recipe marks the value as a way to build, for environment(build = ...).
func (GoSource) Recipe() {}

// Recipe marks the value as a way to build, for environment(build = ...).
func (CommandSource) Recipe() {}

// Recipe marks the value as a way to build, for environment(build = ...).
func (MakeSource) Recipe() {}

// Recipe marks the value as a way to build, for environment(build = ...).
func (Rebar3Source) Recipe() {}

func (g GoSource) place() place { return place{g.Version, g.Dir, ""} }

func (c CommandSource) place() place { return place{c.Version, c.Dir, filepath.Base(c.Output)} }

func (m MakeSource) place() place { return place{m.Version, m.Dir, filepath.Base(m.Output)} }

func (r Rebar3Source) place() place { return place{r.Version, r.Dir, cmp.Or(r.Release, anyApp)} }
