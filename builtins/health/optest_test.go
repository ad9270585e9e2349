package health

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/erlmcp/runner/builtins/probe"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/optest"
)

// asking is a service that is healthy from its n-th answer on; never when n is 0.
func asking(n int64, params func(base string) any) func(testing.TB) optest.World {
	return func(t testing.TB) optest.World {
		var tries atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if tries.Add(1) < n || n == 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			fmt.Fprint(w, `{"status":"healthy"}`)
		}))
		t.Cleanup(s.Close)
		boot, err := host.BootID()
		if err != nil {
			t.Fatal(err)
		}
		h := &host.Host{Files: host.OS{}, Net: host.Internet{}, Procs: host.Linux{Boot: boot}, Clock: host.SystemClock{}, Boot: boot,
			Project: t.TempDir(), Env: os.Environ()}
		return optest.World{Host: h, Params: params(s.URL), Snapshot: func() string { return "" }}
	}
}

func probing(base string) probe.Probe {
	p := probe.Default()
	p.Path, p.Base = "/health", base
	return p
}

func TestOps(t *testing.T) {
	command := func(argv ...string) probe.Probe {
		p := probe.Default()
		p.Command = argv
		return p
	}
	optest.Run(t, optest.Suite{Family: Family, Worlds: optest.Worlds{
		"wait": asking(3, func(base string) any { return Wait{Probe: probing(base)} }),
		"wait: it takes long": asking(1, func(base string) any {
			return Wait{Probe: probing(base), StableFor: op.Duration(1200 * time.Millisecond)}
		}),
		"wait: a command": asking(1, func(string) any { return Wait{Probe: command("true")} }),
		"check":           asking(1, func(base string) any { return Check{Probe: probing(base)} }),
		"check: unwell":   asking(0, func(base string) any { return Check{Probe: probing(base)} }),
	}})
}
