package host

import (
	"net"
	"testing"
)

// BenchmarkPortOwner finds who listens on a port: this process, and nobody.
func BenchmarkPortOwner(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	b.Run("taken", func(b *testing.B) {
		for b.Loop() {
			if _, taken := (Linux{}).PortOwner(port); !taken {
				b.Fatal("nobody listens")
			}
		}
	})
	l.Close()
	b.Run("free", func(b *testing.B) {
		for b.Loop() {
			if _, taken := (Linux{}).PortOwner(port); taken {
				b.Fatal("somebody listens")
			}
		}
	})
}
