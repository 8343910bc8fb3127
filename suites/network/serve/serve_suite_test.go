// Package serve_test shows that code of a program can answer on a host: HTTP, gRPC, TCP, UDP, QUIC and Unix sockets, each in
// one line, for as long as the host or its environment lives.
package serve_test

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) { os.Exit(leaks.Main(m)) }

func TestServe(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	nstest.RunSpecs(t, "Serve")
}

const (
	patience = 20 * time.Second       // for an answer that has to come
	silence  = 150 * time.Millisecond // after which no answer comes
)

// talk sends a text from a host and returns the answer.
func talk(from *nstest.Host, network, address, text string, wait time.Duration) (string, error) {
	c, err := from.DialContext(context.Background(), network, address)
	if err != nil {
		return "", err
	}
	return converse(c, text, wait)
}

func converse(c net.Conn, text string, wait time.Duration) (_ string, err error) {
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte(text)); err != nil {
		return "", err
	}
	answer := make([]byte, 100)
	n, err := c.Read(answer)
	return string(answer[:n]), err
}

// reply answers one text on a connection.
func reply(c net.Conn) {
	text := make([]byte, 100)
	if n, err := c.Read(text); err == nil {
		_, _ = c.Write(append([]byte("heard "), text[:n]...))
	}
}

// replyPacket answers one packet.
func replyPacket(_ net.Addr, packet []byte) []byte { return append([]byte("heard "), packet...) }

func address(a net.Addr, err error) string {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return a.String()
}
