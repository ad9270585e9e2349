package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// The layout of struct inet_diag_req_v2 and struct inet_diag_msg, of linux/inet_diag.h, as far as it is used.
const (
	requestSize   = 56
	requestStates = 4
	requestPort   = 8
	messagePort   = 4
	messageInode  = 68
	messageSize   = 72
)

// diagnosed gives the inodes of the sockets that listen on a TCP port, as sock_diag(7) tells. It is asked before
// /proc/net/tcp is: for that file the kernel walks the table of all connections, which takes milliseconds even when it is
// empty.
func diagnosed(port int) (inodes []uint32, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return nil, err
	}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if err := unix.Sendto(fd, question(family, port), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return nil, err
		}
		if inodes, err = answers(fd, port, inodes); err != nil {
			return nil, err
		}
	}
	return inodes, nil
}

func question(family byte, port int) []byte {
	b := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+requestSize)
	binary.NativeEndian.PutUint32(b, uint32(cap(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	r := b[len(b):cap(b)]
	r[0], r[1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(r[requestStates:], 1<<unix.BPF_TCP_LISTEN)
	binary.BigEndian.PutUint16(r[requestPort:], uint16(port))
	return b[:cap(b)]
}

// answers reads to the end of a dump.
func answers(fd, port int, inodes []uint32) ([]uint32, error) {
	for buf := make([]byte, 32<<10); ; {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			switch {
			case m.Header.Type == unix.NLMSG_DONE:
				return inodes, nil
			case m.Header.Type == unix.NLMSG_ERROR || len(m.Data) < messageSize:
				return nil, fmt.Errorf("the kernel does not tell of sockets: message %d", m.Header.Type)
			case binary.BigEndian.Uint16(m.Data[messagePort:]) == uint16(port): // an old kernel does not choose
				inodes = append(inodes, binary.NativeEndian.Uint32(m.Data[messageInode:]))
			}
		}
	}
}
