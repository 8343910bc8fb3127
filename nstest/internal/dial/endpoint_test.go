package dial

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

func TestZoneIndex(t *testing.T) {
	for zone, want := range map[string]uint32{"": 0, "lo": 1, "eth0": 2, "eth17": 19, "7": 7} {
		if got, err := zoneIndex(zone); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", zone, got, err, want)
		}
	}
	for _, zone := range []string{"eth", "eth-1", "eth+1", "eth01", "0", "-1", "wlan0", "99999999999", "eth0 "} {
		if got, err := zoneIndex(zone); err == nil {
			t.Errorf("%q: %d, want an error", zone, got)
		}
	}
}

func TestZoneReachesKernel(t *testing.T) {
	e := endpoint{ip: netip.MustParseAddrPort("[fe80::1%eth1]:80")}
	family, raw, err := e.raw(network{"tcp", unix.AF_UNSPEC, unix.SOCK_STREAM})
	if err != nil || family != unix.AF_INET6 || len(raw) != unix.SizeofSockaddrInet6 || raw[24] != 3 && raw[27] != 3 {
		t.Errorf("sockaddr of %v: %d, %v, %v", e.ip, family, raw, err)
	}
	_, sa, err := e.sockaddr()
	if in6, ok := sa.(*unix.SockaddrInet6); err != nil || !ok || in6.ZoneId != 3 || in6.Port != 80 {
		t.Errorf("sockaddr of %v: %+v, %v", e.ip, sa, err)
	}
}

// A host without IPv6 listens on IPv4 where any family will do, and only there.
func TestListenWithoutIPv6(t *testing.T) {
	noLeaks(t)
	m := &machine{before: func(_ context.Context, spec wire.SocketParams) error {
		if spec.Family == unix.AF_INET6 {
			return fmt.Errorf("host web: %w", os.NewSyscallError("socket", syscall.EAFNOSUPPORT))
		}
		return nil
	}}
	d := &Dialer{Sockets: m}
	l, err := d.Listen(t.Context(), "tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := l.Addr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Addr(); got != netip.IPv4Unspecified() {
		t.Errorf("listens on %v", got)
	}
	if _, err := d.Listen(t.Context(), "tcp6", ":0"); err == nil || err.Error() != "listen tcp6 :0: socket: address family not supported by protocol" {
		t.Errorf("tcp6: %v", err)
	}
}

func TestListenSpecs(t *testing.T) {
	m := &machine{}
	d := &Dialer{Sockets: m}
	for _, network := range []string{"tcp", "tcp4", "tcp6"} {
		l, err := d.Listen(t.Context(), network, ":0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
	var got []string
	for _, s := range m.specs {
		got = append(got, fmt.Sprintf("family %d only6 %v listen %d host %q", s.Family, s.V6Only, s.Listen, s.Host))
	}
	want := []string{
		fmt.Sprintf(`family %d only6 false listen %d host ""`, unix.AF_INET6, backlog),
		fmt.Sprintf(`family %d only6 false listen %d host ""`, unix.AF_INET, backlog),
		fmt.Sprintf(`family %d only6 true listen %d host ""`, unix.AF_INET6, backlog),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
}
