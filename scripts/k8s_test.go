package scripts_test

import (
	"encoding/json"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/manifest"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/secret"
	"github.com/erlmcp/runner/scripts"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// clustered is the standard manifests as a project without files of its own has them.
func clustered(t *testing.T) *manifest.Set {
	t.Helper()
	h := &host.Host{Files: host.OS{}, Project: t.TempDir(), Standard: scripts.FS, Secrets: &secret.Vault{Scrubber: &secret.Scrubber{}}}
	set, err := manifest.Load(t.Context(), h, cluster.Cluster{Namespace: "erlmcp", Name: "erlmcp", Context: "any", Manifests: []string{"k8s"}}, manifest.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func found[T any](t *testing.T, set *manifest.Set, group, kind, name string) (out T) {
	t.Helper()
	o := set.Find(api.Ref{Group: group, Kind: kind, Namespace: "erlmcp", Name: name})
	if o == nil {
		t.Fatalf("there is no %s/%s", kind, name)
	}
	data, err := json.Marshal(o)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The manifests are right as they stand, and nothing in them drops traffic.
func TestManifests(t *testing.T) {
	set := clustered(t)
	if len(set.Warnings) > 0 {
		t.Errorf("warnings:\n%s", strings.Join(set.Warnings, "\n"))
	}
	var kinds []string
	for _, o := range set.Objects {
		if !slices.Contains(kinds, o.GetKind()) {
			kinds = append(kinds, o.GetKind())
		}
		if strings.Contains(o.GetNamespace(), "example") || o.GetKind() != "Namespace" && !strings.HasPrefix(o.GetKind(), "Cluster") && o.GetNamespace() != "erlmcp" {
			t.Errorf("%s is in the namespace %q", o.GetName(), o.GetNamespace())
		}
	}
	for _, kind := range strings.Fields("Namespace NetworkPolicy ServiceAccount ConfigMap PersistentVolumeClaim Service PodDisruptionBudget Deployment HorizontalPodAutoscaler Ingress") {
		if !slices.Contains(kinds, kind) {
			t.Errorf("there is no %s", kind)
		}
	}
	files, err := fs.Glob(scripts.FS, "k8s/*.yaml")
	if err != nil || len(files) != len(set.Files) {
		t.Errorf("%q of %q were read, %v", set.Files, files, err)
	}
}

// The Deployment is replaced without a gap, its pods are asked what the application answers, and can do nothing else.
func TestDeployment(t *testing.T) {
	d := found[appsv1.Deployment](t, clustered(t), "apps", "Deployment", "erlmcp-tcps")
	pod := d.Spec.Template.Spec
	c := pod.Containers[0]
	rolling := d.Spec.Strategy.RollingUpdate
	for what, holds := range map[string]bool{
		"3 replicas":                   d.Spec.Replicas != nil && *d.Spec.Replicas == 3,
		"maxSurge 1, maxUnavailable 0": rolling.MaxSurge.IntValue() == 1 && rolling.MaxUnavailable.IntValue() == 0,
		"a startup probe":              c.StartupProbe.HTTPGet.Path == "/health/startup",
		"a readiness probe":            c.ReadinessProbe.HTTPGet.Path == "/health/ready",
		"a liveness probe":             c.LivenessProbe.HTTPGet.Path == "/health/live",
		"uid 1000":                     *pod.SecurityContext.RunAsUser == 1000 && *pod.SecurityContext.RunAsNonRoot,
		"a read-only root":             *c.SecurityContext.ReadOnlyRootFilesystem && !*c.SecurityContext.AllowPrivilegeEscalation,
		"no capabilities":              c.SecurityContext.Capabilities.Drop[0] == "ALL" && len(c.SecurityContext.Capabilities.Add) == 0,
		"no token":                     !*pod.AutomountServiceAccountToken,
		"requests and limits":          len(c.Resources.Requests) == 2 && len(c.Resources.Limits) == 2,
		"pods apart":                   len(pod.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution) > 0,
		"a preStop within its time":    c.Lifecycle.PreStop.Sleep.Seconds < *pod.TerminationGracePeriodSeconds,
		"port 8080":                    c.Ports[0].ContainerPort == 8080,
		"a ConfigMap by what it holds": strings.HasPrefix(c.EnvFrom[0].ConfigMapRef.Name, "erlmcp-config-"),
	} {
		if !holds {
			t.Errorf("the Deployment lacks %s", what)
		}
	}
}

// It is scaled from 3 to 10 by the CPU and the memory that pods ask for, and down slowly.
func TestAutoscaler(t *testing.T) {
	h := found[autoscalingv2.HorizontalPodAutoscaler](t, clustered(t), "autoscaling", "HorizontalPodAutoscaler", "erlmcp")
	got := map[string]int32{}
	for _, m := range h.Spec.Metrics {
		got[string(m.Resource.Name)] = *m.Resource.Target.AverageUtilization
	}
	if *h.Spec.MinReplicas != 3 || h.Spec.MaxReplicas != 10 || got["cpu"] != 70 || got["memory"] != 80 || *h.Spec.Behavior.ScaleDown.StabilizationWindowSeconds < 300 {
		t.Errorf("%+v", h.Spec)
	}
}
