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

// patience is how long a connection is waited for that has to come about, and silence for one that must not: where there is a
// way it takes microseconds.
const (
	patience = 20 * time.Second
	silence  = 500 * time.Millisecond
)

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
func call(from *nstest.Host, to netip.Addr) (string, error) { return callWithin(patience, from, to) }

func callWithin(limit time.Duration, from *nstest.Host, to netip.Addr) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c, err := from.DialContext(ctx, "tcp", net.JoinHostPort(to.String(), port))
	if err != nil {
		return "", err
	}
	defer c.Close()
	said, err := io.ReadAll(c)
	return string(said), err
}
