package hosttest

import (
	"fmt"
	"net"
	"testing"
)

func TestPort(t *testing.T) {
	seen := map[int]bool{}
	for range 200 {
		port := Port(t)
		if seen[port] {
			t.Fatalf("%d twice", port)
		}
		seen[port] = true
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
	t.Run("given back", func(t *testing.T) {
		var port int
		t.Run("held", func(t *testing.T) { port = Port(t) })
		held, err := net.Listen("unix", fmt.Sprintf("@runner-test-port-%d", port))
		if err != nil {
			t.Fatal(err)
		}
		held.Close()
	})
}
