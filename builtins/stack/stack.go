// Package stack is a Compose project as a target: which files describe it, and where it runs. The families project,
// compose and docker share it. It reads no file and knows no engine.
package stack

import (
	"fmt"
	"maps"
	"regexp"

	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Project is a Compose project on an engine.
type Project struct {
	_        op.Doc                 `doc:"A target on a Docker engine: a Compose project."`
	Name     string                 `json:"name" doc:"The project's name, unlike any other's on the engine."`
	Files    []string               `json:"files,omitempty" doc:"Its files, later ones over earlier ones; compose.yaml or docker-compose.yml when left out."`
	Dir      string                 `json:"dir,omitempty" doc:"The folder that its paths start from; the first file's when left out."`
	Profiles []string               `json:"profiles,omitempty" doc:"Profiles that are on."`
	EnvFiles []string               `json:"env_files,omitempty" doc:"Files of variables for its files; .env in its folder when left out."`
	Env      map[string]secret.Text `json:"env,omitempty" doc:"Variables for its files, before those of env_files and of the environment of runner."`
	Images   map[string]string      `json:"images,omitempty" doc:"Images by service, in place of those in its files."`
	Engine   string                 `json:"engine,omitempty" doc:"The engine's address; what DOCKER_HOST or the Docker context says when left out."`

	AfterMigration string `json:"after_migration,omitempty" doc:"What becomes of a failed run that has migrated data: \"stay\" leaves the new version, \"undo\" goes back all the same."`
}

// IsTarget says that environments.star may name it as a target.
func (Project) IsTarget() {}

// projectName is what the engine and Compose take for a project's name.
var projectName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

// Check implements op.Checked.
func (p Project) Check() error {
	if !projectName.MatchString(p.Name) {
		return fmt.Errorf("name: want small letters, digits, - and _, got %q", p.Name)
	}
	switch p.AfterMigration {
	case "", "stay", "undo":
		return nil
	}
	return fmt.Errorf(`after_migration: want "stay" or "undo", got %q`, p.AfterMigration)
}

// Target is the id of the target that the project is.
func (p Project) Target() string {
	if p.Engine != "" {
		return "compose:" + p.Name + "@" + p.Engine
	}
	return "compose:" + p.Name
}

// With is the same project with more variables.
func (p Project) With(env map[string]secret.Text) Project {
	all := maps.Clone(env)
	if all == nil {
		all = map[string]secret.Text{}
	}
	maps.Copy(all, p.Env)
	p.Env = all
	return p
}
