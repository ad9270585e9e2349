// Package groups tells the API groups of Kubernetes itself from those of others. It knows no kinds.
package groups

import (
	"slices"
	"strings"
)

// own are those of Kubernetes itself that have a dot. Others that end with k8s.io, such as the Gateway API's, are custom.
const own = `admissionregistration.k8s.io apiextensions.k8s.io apiregistration.k8s.io certificates.k8s.io coordination.k8s.io
	discovery.k8s.io events.k8s.io flowcontrol.apiserver.k8s.io networking.k8s.io node.k8s.io rbac.authorization.k8s.io resource.k8s.io
	scheduling.k8s.io storage.k8s.io storagemigration.k8s.io`

// Custom reports whether objects of a group are made by a controller of somebody else.
func Custom(group string) bool {
	return strings.Contains(group, ".") && !slices.Contains(strings.Fields(own), group)
}
