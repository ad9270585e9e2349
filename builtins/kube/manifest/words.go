package manifest

import (
	"reflect"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// wordsOf are the words that a type of text may be, nil where it may be any. The library has them as constants, which
// nothing at run time can list.
func wordsOf(t reflect.Type) []string {
	return strings.Fields(map[reflect.Type]string{
		reflect.TypeFor[corev1.PullPolicy]():                    "Always IfNotPresent Never",
		reflect.TypeFor[corev1.RestartPolicy]():                 "Always OnFailure Never",
		reflect.TypeFor[corev1.Protocol]():                      "TCP UDP SCTP",
		reflect.TypeFor[corev1.ServiceType]():                   "ClusterIP NodePort LoadBalancer ExternalName",
		reflect.TypeFor[corev1.ServiceAffinity]():               "None ClientIP",
		reflect.TypeFor[corev1.ServiceExternalTrafficPolicy]():  "Cluster Local",
		reflect.TypeFor[corev1.IPFamilyPolicy]():                "SingleStack PreferDualStack RequireDualStack",
		reflect.TypeFor[corev1.PersistentVolumeAccessMode]():    "ReadWriteOnce ReadOnlyMany ReadWriteMany ReadWriteOncePod",
		reflect.TypeFor[corev1.PersistentVolumeMode]():          "Filesystem Block",
		reflect.TypeFor[corev1.PersistentVolumeReclaimPolicy](): "Retain Delete Recycle",
		reflect.TypeFor[corev1.DNSPolicy]():                     "ClusterFirst ClusterFirstWithHostNet Default None",
		reflect.TypeFor[corev1.URIScheme]():                     "HTTP HTTPS",
		reflect.TypeFor[corev1.TaintEffect]():                   "NoSchedule PreferNoSchedule NoExecute",
		reflect.TypeFor[corev1.TolerationOperator]():            "Exists Equal Lt Gt",
		reflect.TypeFor[corev1.NodeSelectorOperator]():          "In NotIn Exists DoesNotExist Gt Lt",
		reflect.TypeFor[corev1.UnsatisfiableConstraintAction](): "DoNotSchedule ScheduleAnyway",
		reflect.TypeFor[corev1.TerminationMessagePolicy]():      "File FallbackToLogsOnError",
		reflect.TypeFor[corev1.StorageMedium]():                 "Memory HugePages HugePages-2Mi HugePages-1Gi",
		reflect.TypeFor[corev1.HostPathType]():                  "DirectoryOrCreate Directory FileOrCreate File Socket CharDevice BlockDevice",
		reflect.TypeFor[corev1.SeccompProfileType]():            "RuntimeDefault Unconfined Localhost",
		reflect.TypeFor[appsv1.DeploymentStrategyType]():        "RollingUpdate Recreate",
		reflect.TypeFor[appsv1.StatefulSetUpdateStrategyType](): "RollingUpdate OnDelete",
		reflect.TypeFor[appsv1.DaemonSetUpdateStrategyType]():   "RollingUpdate OnDelete",
		reflect.TypeFor[appsv1.PodManagementPolicyType]():       "OrderedReady Parallel",
		reflect.TypeFor[batchv1.ConcurrencyPolicy]():            "Allow Forbid Replace",
		reflect.TypeFor[batchv1.CompletionMode]():               "NonIndexed Indexed",
		reflect.TypeFor[networkingv1.PathType]():                "Exact Prefix ImplementationSpecific",
		reflect.TypeFor[networkingv1.PolicyType]():              "Ingress Egress",
		reflect.TypeFor[autoscalingv2.MetricSourceType]():       "Resource ContainerResource Pods Object External",
		reflect.TypeFor[autoscalingv2.MetricTargetType]():       "Utilization Value AverageValue",
		reflect.TypeFor[autoscalingv2.ScalingPolicySelect]():    "Max Min Disabled",
		reflect.TypeFor[autoscalingv2.HPAScalingPolicyType]():   "Pods Percent",
		reflect.TypeFor[metav1.LabelSelectorOperator]():         "In NotIn Exists DoesNotExist",
	}[t])
}
