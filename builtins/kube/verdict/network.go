package verdict

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// judgeService wants one pod behind a Service that selects pods. An address from a load balancer is not waited for: where
// there is none that gives it, it never comes.
func judgeService(in Input) Verdict {
	s := as[corev1.Service](in.Object)
	word := ""
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer && len(s.Status.LoadBalancer.Ingress) == 0 {
		word = "; its load balancer has no address yet"
	}
	switch {
	case s.Spec.Type == corev1.ServiceTypeExternalName:
		return ready("is there; it leads to " + s.Spec.ExternalName)
	case len(s.Spec.Selector) == 0:
		return ready("is there; it selects no pods" + word)
	case in.Behind == 0:
		return ready("is there; what it selects is to have no replicas" + word)
	}
	n := in.behind(s)
	switch {
	case n > 0:
		return ready(fmt.Sprintf("%s behind it ready", plural(n, "pod")) + word)
	case s.Spec.ClusterIP == corev1.ClusterIPNone:
		return ready("is there; no pod behind it is ready yet")
	case in.Behind < 0 && !in.Making && len(in.selected(s)) == 0:
		return suspect(NoEndpoints, retryBudget, "selects no pod", "compare its selector with the labels of the pods")
	}
	return wait("no pod behind it is ready yet")
}

// behind counts the ready endpoints of a Service that are pods which it selects now.
func (in Input) behind(s corev1.Service) int {
	pods := in.selected(s)
	ready := map[types.UID]bool{}
	others := 0
	for _, o := range in.Slices {
		e := as[discoveryv1.EndpointSlice](o)
		if e.Labels[discoveryv1.LabelServiceName] != s.Name || e.Namespace != s.Namespace {
			continue
		}
		for _, p := range e.Endpoints {
			if p.Conditions.Ready != nil && !*p.Conditions.Ready {
				continue
			}
			switch {
			case p.TargetRef == nil || p.TargetRef.Kind != "Pod":
				others++
			case pods[p.TargetRef.UID]:
				ready[p.TargetRef.UID] = true
			}
		}
	}
	return len(ready) + others
}

func (in Input) selected(s corev1.Service) map[types.UID]bool {
	selector := labels.SelectorFromSet(s.Spec.Selector)
	out := map[types.UID]bool{}
	for _, p := range in.Pods {
		if p.GetNamespace() == s.Namespace && p.GetDeletionTimestamp() == nil && selector.Matches(labels.Set(p.GetLabels())) {
			out[p.GetUID()] = true
		}
	}
	return out
}

func judgeIngress(in Input) Verdict {
	if i := as[networkingv1.Ingress](in.Object); len(i.Status.LoadBalancer.Ingress) == 0 {
		return ready("is there; it has no address yet")
	}
	return ready("is there")
}
