// Package stdlib embeds the library that scripts load as "@std/NAME.star".
package stdlib

import "embed"

// FS holds the library by its files' names.
//
//go:embed *.star
var FS embed.FS
