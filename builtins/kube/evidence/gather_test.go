package evidence

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What keeps a pod from its node may be said of a claim alone: that there is no such StorageClass.
func TestBehindAPodAreItsClaims(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{Kind: "StatefulSet", Name: "db"}}},
		Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "token"}, {Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data-db-0"}}}}}}
	if got := behind(pod); !slices.Equal(got, []string{"StatefulSet/db", "PersistentVolumeClaim/data-db-0"}) || behind(nil) != nil {
		t.Errorf("%q", got)
	}
}
