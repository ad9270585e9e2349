package build

// Recipe marks the value as a way to build, for environment(build = ...).
func (GoSource) Recipe() {}

// Recipe marks the value as a way to build, for environment(build = ...).
func (CommandSource) Recipe() {}
