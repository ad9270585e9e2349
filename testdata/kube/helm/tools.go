//go:build tools

// Keeps helm in go.mod. It is built by helm.sh, for benchmarks alone.
package tools

import _ "helm.sh/helm/v4/cmd/helm"
