//go:build !labs

package follow

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain sees that no source outlives its Follow. In the labs a control plane runs as long as the process does.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("k8s.io/klog/v2.(*flushDaemon).run.func1"))
}
