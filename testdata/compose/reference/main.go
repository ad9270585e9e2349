// Program reference is Docker Compose itself, built from its module: what runner does with a project is held against
// what it does. It is built for tests alone, outside of the checkout.
package main

import (
	"os"

	"github.com/docker/cli/cli-plugins/metadata"
	"github.com/docker/cli/cli-plugins/plugin"
	"github.com/docker/cli/cli/command"
	"github.com/docker/compose/v5/cmd/compatibility"
	"github.com/docker/compose/v5/cmd/compose"
	"github.com/spf13/cobra"
)

func main() {
	os.Args = append([]string{"docker"}, compatibility.Convert(os.Args[1:])...)
	plugin.Run(func(cli command.Cli) *cobra.Command {
		c := compose.RootCommand(cli, &compose.BackendOptions{})
		own := c.PersistentPreRunE
		c.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
			if err := plugin.PersistentPreRunE(cmd, args); err != nil {
				return err
			}
			return own(cmd, args)
		}
		return c
	}, metadata.Metadata{SchemaVersion: "0.1.0", Vendor: "Docker Inc.", Version: "v5.6.0"})
}
