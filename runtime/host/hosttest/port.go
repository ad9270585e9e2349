package hosttest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Port is a TCP port that nobody listens on, which neither another test nor what takes any free port has before the test
// has ended: it lies below those that Linux gives away (ip_local_port_range), and is held by an abstract socket of its name.
func Port(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 20000 + rand.IntN(10000)
		held, err := net.Listen("unix", fmt.Sprintf("@runner-test-port-%d", port))
		if err != nil {
			continue
		}
		if l, err := net.Listen("tcp", fmt.Sprintf(":%d", port)); err == nil {
			l.Close()
			t.Cleanup(func() { held.Close() })
			return port
		}
		held.Close()
	}
	t.Fatal("every port is taken")
	return 0
}
