//go:build labs

package reconcile

import (
	"context"
	"testing"
	"time"

	"github.com/moby/moby/client"
)

// TestLabAddressesAreTaken: the addresses of a network that was removed went to another network. What served comes back on
// others.
func TestLabAddressesAreTaken(t *testing.T) {
	l := newLab(t)
	l.must(l.upAt(t.Context(), l.site, l.set(map[string]string{"web": "serve"}), before))
	seen, err := Observe(t.Context(), l.site.Engine, l.project)
	l.must(err)
	_, err = l.site.Act(t.Context(), NewDown(seen, key), time.Minute)
	l.must(err)
	if len(seen.Networks) != 1 {
		t.Fatalf("%d networks", len(seen.Networks))
	}
	name := l.project + "-other"
	_, err = l.site.Engine.NetworkCreate(t.Context(), name, client.NetworkCreateOptions{IPAM: seen.Networks[0].Create.IPAM})
	l.must(err)
	t.Cleanup(func() { l.site.Engine.NetworkRemove(context.Background(), name, client.NetworkRemoveOptions{}) })
	if _, err := l.site.Return(t.Context(), seen.Set, key); err != nil {
		t.Error(err)
	}
	now, err := Observe(t.Context(), l.site.Engine, l.project)
	l.must(err)
	if len(now.Containers) != 1 || !now.States[now.Containers[0].ID].running() {
		t.Errorf("%+v", now.States)
	}
}
