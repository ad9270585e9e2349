// Package scripts embeds the standard scripts and the stack that they deploy. They lie under every project, file by
// file: a project that has its own deploy.star, or its own docker/prometheus.yml, uses that.
package scripts

import "embed"

// FS holds the files by their names.
//
//go:embed *.star docker k8s
var FS embed.FS
