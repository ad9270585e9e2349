package machine

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/optest"
)

// on is an op on a machine; its world is the names in the project.
func on(params func(testing.TB, *host.Host) any) func(testing.TB) optest.World {
	return func(t testing.TB) optest.World {
		h := newHost(t)
		return optest.World{Host: h, Params: params(t, h), Snapshot: func() (out string) {
			must(t, filepath.WalkDir(h.Project, func(path string, _ os.DirEntry, err error) error {
				out += path + "\n"
				return err
			}))
			return out
		}}
	}
}

func always(params any) func(testing.TB) optest.World {
	return on(func(testing.TB, *host.Host) any { return params })
}

// listening is a server that accepts and says nothing.
func listening(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// slowly is a server that shows its certificate after a while.
func slowly(t testing.TB) string {
	behind := serve(t, false, 0, issue("a.example", false, trusted(t), day))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go relay(c, behind)
		}
	}()
	return l.Addr().String()
}

func relay(c net.Conn, to string) {
	defer c.Close()
	time.Sleep(1300 * time.Millisecond)
	d, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer d.Close()
	go func() { copyAll(d, c) }()
	copyAll(c, d)
}

func copyAll(to, from net.Conn) {
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		if _, bad := to.Write(b[:n]); err != nil || bad != nil {
			return
		}
	}
}

func TestOps(t *testing.T) {
	limit := op.Duration(10 * time.Second)
	optest.Run(t, optest.Suite{Family: Family, Worlds: optest.Worlds{
		"certificate": on(func(t testing.TB, h *host.Host) any {
			must(t, os.WriteFile(filepath.Join(h.Project, "a.pem"), []byte(issue("a", false, nil, day).pem()), 0o600))
			return Certificate{At: "a.pem", Timeout: limit}
		}),
		"certificate: a slow server": on(func(t testing.TB, _ *host.Host) any { return Certificate{At: slowly(t), Timeout: limit} }),
		"connect":                    on(func(t testing.TB, _ *host.Host) any { return Connect{Address: listening(t), Timeout: limit} }),
		"lease":                      always(Lease{Root: "root"}),
		"lease: held": on(func(t testing.TB, h *host.Host) any {
			must(t, os.MkdirAll(filepath.Join(h.Project, "root", ".runner"), 0o755))
			itself(t, "", holder+"="+filepath.Join(h.Project, "root", ".runner", "lease"))
			return Lease{Root: "root"}
		}),
		"memory":   always(Memory{}),
		"platform": always(Platform{}),
		"port":     always(Port{Port: 1}),
		"root":     always(Root{Path: "."}),
		"tool":     always(Tool{Name: "git", Timeout: limit}),
		"tool: slow": on(func(t testing.TB, h *host.Host) any {
			fake(t, h, "slow", "sleep 1.3; echo 1.0")
			return Tool{Name: "slow", AtLeast: "1", Timeout: limit}
		}),
		"tree": always(Tree{}),
		"user": always(User{Name: "root"}),
	}})
}
