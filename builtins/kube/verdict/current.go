package verdict

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
)

// Current are the pods of a workload's newest revision that are not on their way out. ReplicaSets are those of a
// Deployment.
func Current(workload *Object, sets, pods []*Object) (out []*Object) {
	owner, label, value := workload.GetUID(), "", ""
	switch workload.GetKind() {
	case "Deployment":
		set := NewReplicaSet(workload, sets)
		if set == nil {
			return nil
		}
		owner = set.GetUID()
	case "StatefulSet":
		label, value = appsv1.StatefulSetRevisionLabel, as[appsv1.StatefulSet](workload).Status.UpdateRevision
	case "DaemonSet":
		label, value = templateGeneration, generationOf(as[appsv1.DaemonSet](workload))
	}
	for _, p := range pods {
		if controls(owner, p.GetOwnerReferences()) && p.GetDeletionTimestamp() == nil && (label == "" || p.GetLabels()[label] == value) {
			out = append(out, p)
		}
	}
	return out
}

// templateGeneration is the label by which a DaemonSet's pods tell revisions apart without a look at its revisions.
const templateGeneration = "pod-template-generation"

func generationOf(d appsv1.DaemonSet) string {
	if g := d.Annotations[appsv1.DeprecatedTemplateGeneration]; g != "" {
		return g
	}
	return strconv.FormatInt(d.Generation, 10)
}
