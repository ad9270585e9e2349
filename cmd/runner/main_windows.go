// Command runner executes Starlark deployment scripts. On Windows it says that it does not: this file is all of it there.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "runner: Windows is not supported: Linux does everything; macOS checks and plans")
	os.Exit(2)
}
