// Package scripts embeds the standard scripts. They lie under every project, file by file: a project that has its own
// deploy.star runs that.
package scripts

import "embed"

// FS holds the scripts by their names.
//
//go:embed *.star
var FS embed.FS
