package routers_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

const port = "7777"

// patience is how long a connection is waited for that comes about in microseconds where there is a way.
const patience = 500 * time.Millisecond

func addNetwork(cfg nstest.NetworkConfig) *nstest.Network {
	GinkgoHelper()
	n, err := nstest.Current().AddNetwork(cfg)
	Expect(err).NotTo(HaveOccurred())
	return n
}

func addHost(name string, networks ...string) *nstest.Host {
	GinkgoHelper()
	h, err := nstest.Current().AddHost(nstest.HostConfig{Name: name, Networks: on(networks...)})
	Expect(err).NotTo(HaveOccurred())
	return h
}

func addRouter(cfg nstest.RouterConfig) *nstest.Router {
	GinkgoHelper()
	r, err := nstest.Current().AddRouter(cfg)
	Expect(err).NotTo(HaveOccurred())
	return r
}

func on(networks ...string) []nstest.Attachment {
	var list []nstest.Attachment
	for _, n := range networks {
		list = append(list, nstest.Attachment{Network: n})
	}
	return list
}

// addr is a host's address of a family on a network.
func addr(h *nstest.Host, network string, is4 bool) netip.Addr {
	GinkgoHelper()
	for _, a := range h.Link(network).Addrs() {
		if a.Is4() == is4 {
			return a
		}
	}
	Fail("no such address")
	return netip.Addr{}
}

// tellCallers has a host tell every caller which address it calls from.
func tellCallers(h *nstest.Host) {
	GinkgoHelper()
	l, err := h.Listen("tcp", ":"+port)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(l.Close)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, netip.MustParseAddrPort(c.RemoteAddr().String()).Addr().Unmap().String())
			_ = c.Close()
		}
	}()
}

func isTimeout(err error) bool { return os.IsTimeout(err) || errors.Is(err, context.DeadlineExceeded) }

// call returns the address as which a host's call arrives.
func call(from *nstest.Host, to netip.Addr) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := from.DialContext(ctx, "tcp", net.JoinHostPort(to.String(), port))
	if err != nil {
		return "", err
	}
	defer c.Close()
	said, err := io.ReadAll(c)
	return string(said), err
}
