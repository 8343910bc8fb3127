package nstest_test

import (
	"net"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

// Several sockets of a host can listen at a multicast address, and hear what is for the host alone too, as those of package
// net can.
func TestListenPacketMulticast(t *testing.T) {
	h := nstest.New(t, nstest.Config{}).Host("web")
	for name, listen := range map[string]func(network, address string) (net.PacketConn, error){"net": net.ListenPacket, "host": h.ListenPacket} {
		for network, group := range map[string]string{"udp4": "224.0.0.251", "udp6": "ff02::fb"} {
			first, err := listen(network, net.JoinHostPort(group, "0"))
			if err != nil {
				t.Errorf("%s, %s: %v", name, network, err)
				continue
			}
			defer first.Close()
			addr := first.LocalAddr().(*net.UDPAddr)
			if !addr.IP.IsUnspecified() {
				t.Errorf("%s, %s: listens at %v", name, network, addr)
			}
			_, port, err := net.SplitHostPort(addr.String())
			if err != nil {
				t.Fatal(err)
			}
			second, err := listen(network, net.JoinHostPort(group, port))
			if err != nil {
				t.Errorf("%s, %s: a second socket: %v", name, network, err)
				continue
			}
			second.Close()
		}
	}
	// Elsewhere the port is one socket's.
	first, err := h.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if second, err := h.ListenPacket("udp", first.LocalAddr().String()); err == nil {
		second.Close()
		t.Error("two sockets have a port that is not to be shared")
	}
}
