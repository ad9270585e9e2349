// Package cluster is a namespace on a Kubernetes cluster as a target: which manifests describe what runs there, and where
// the cluster is. The families project and kube share it. It reads no file and reaches no server.
package cluster

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// Cluster is a named set of objects in a namespace of a cluster.
type Cluster struct {
	_              op.Doc            `doc:"A target on Kubernetes: the objects of one application in a namespace."`
	Namespace      string            `json:"namespace" doc:"The namespace. Objects whose manifests name none go there."`
	Name           string            `json:"name" doc:"What the set of objects is called, unlike any other's in the state namespace."`
	Manifests      []string          `json:"manifests,omitempty" doc:"Files and folders of manifests, and folders with a kustomization; k8s when left out."`
	Images         map[string]string `json:"images,omitempty" doc:"Images by the name that manifests have for them, without tag and digest: what takes its place, such as \"registry.example.com/app:1.4\" or \":1.4\"."`
	Replicas       map[string]int    `json:"replicas,omitempty" doc:"Replicas by the name of a workload, in place of those in its manifest."`
	Labels         map[string]string `json:"labels,omitempty" doc:"Labels for every object; never for selectors or pods."`
	Serves         string            `json:"serves,omitempty" doc:"What the health and the smoke tests ask: a workload and its port, such as \"deployment/erlmcp:8080\". They are sent to its new pods, whatever a Service or an Ingress says."`
	Builds         map[string]string `json:"builds,omitempty" doc:"Dockerfiles by the names of the images that they make, such as {\"registry.example.com/erlmcp\": \"docker/Dockerfile.production\"}. They are built in the project's folder, pushed, and applied by their digests; to another repository where images names one without tag."`
	Context        string            `json:"context,omitempty" doc:"The kubeconfig's context. Either this, or server, or in_cluster is given: the current context is never used."`
	Kubeconfig     string            `json:"kubeconfig,omitempty" doc:"The kubeconfig; what KUBECONFIG or ~/.kube/config says when left out."`
	Server         string            `json:"server,omitempty" doc:"The API server's address. Where a context is given too, it must lead there, else nothing is sent."`
	CA             string            `json:"ca,omitempty" doc:"The file of the certificate authority that the server must be known by; the kubeconfig's when left out."`
	InCluster      bool              `json:"in_cluster,omitempty" doc:"Whether runner runs in a pod of the cluster, as its service account."`
	AsUser         string            `json:"as_user,omitempty" doc:"The user to act as, where the credentials may impersonate it."`
	AsGroups       []string          `json:"as_groups,omitempty" doc:"The groups to act as, beside the user."`
	StateNamespace string            `json:"state_namespace,omitempty" doc:"The namespace that keeps the lease, undo logs and history; namespace when left out. It must be there before."`

	Secrets map[string]secret.Text `json:"secrets,omitempty" doc:"Values of a Secret called NAME-secrets, which the manifests may refer to; the environment's secrets when left out."`

	AfterMigration string `json:"after_migration,omitempty" doc:"What becomes of a failed run that has migrated data: \"stay\" leaves the new version, \"undo\" goes back all the same."`

	Rules map[string]op.Func `json:"rules,omitempty" doc:"How custom resources stand, by kind and group, such as {\"Database.example.com\": database}: functions that get the live object as a dict, and return \"ready\", or \"wait\", \"suspect\", \"doomed\" or \"skipped\" with the reason, such as \"doomed: its disk is full\". What is suspect must last a minute before it counts; what is doomed ends the deployment at once. A kind without a rule is judged by its conditions Ready and Stalled."`
}

// IsTarget says that environments.star may name it as a target.
func (Cluster) IsTarget() {}

// dnsLabel is what Kubernetes takes for the name of a namespace (RFC 1123).
var dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// IsName reports whether Kubernetes takes a text as the name of what pods are named by.
func IsName(text string) bool { return dnsLabel.MatchString(text) }

// maxName leaves room in names of objects for what runner puts behind it.
const maxName = 40

// Check implements op.Checked.
func (c Cluster) Check() error {
	for _, f := range []struct{ field, value string }{{"namespace", c.Namespace}, {"name", c.Name}, {"state_namespace", c.State()}} {
		if !dnsLabel.MatchString(f.value) {
			return fmt.Errorf("%s: want small letters, digits and -, got %q", f.field, f.value)
		}
	}
	if len(c.Name) > maxName {
		return fmt.Errorf("name: want at most %d characters, got %d", maxName, len(c.Name))
	}
	if c.Serves != "" && !servesForm.MatchString(c.Serves) {
		return fmt.Errorf("serves: want a workload and its port, such as deployment/erlmcp:8080, got %q", c.Serves)
	}
	switch {
	case c.Context == "" && c.Server == "" && !c.InCluster:
		return fmt.Errorf("context: want the kubeconfig's context, or server, or in_cluster = True: the current context is never used")
	case c.InCluster && (c.Context != "" || c.Kubeconfig != "" || c.Server != ""):
		return fmt.Errorf("in_cluster: a pod knows its own cluster; leave out context, kubeconfig and server")
	case c.Server != "" && !strings.HasPrefix(c.Server, "https://"):
		return fmt.Errorf("server: want an address such as https://10.0.0.1:6443, got %q", c.Server)
	case len(c.AsGroups) > 0 && c.AsUser == "":
		return fmt.Errorf("as_groups: want as_user beside them")
	}
	if err := checkRules(c.Rules); err != nil {
		return err
	}
	switch c.AfterMigration {
	case "", "stay", "undo":
		return nil
	}
	return fmt.Errorf(`after_migration: want "stay" or "undo", got %q`, c.AfterMigration)
}

var servesForm = regexp.MustCompile(`^(deployment|statefulset|daemonset)/[a-z0-9][a-z0-9.-]*:[0-9]{1,5}$`)

// With is the same set of objects with the values of its Secret, unless it has its own.
func (c Cluster) With(secrets map[string]secret.Text) Cluster {
	if len(c.Secrets) == 0 {
		c.Secrets = secrets
	}
	return c
}

// State is the namespace that keeps what runs need of one another.
func (c Cluster) State() string {
	if c.StateNamespace != "" {
		return c.StateNamespace
	}
	return c.Namespace
}

// Target is the id of the target that the set of objects is.
func (c Cluster) Target() string {
	id := "cluster:" + c.Namespace + "/" + c.Name
	switch {
	case c.Server != "":
		id += "@" + c.Server
	case c.Context != "":
		id += "@" + c.Context
	}
	return id
}
