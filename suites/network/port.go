package network

import (
	"errors"
	"io"
	"net"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// bind listens on port 80 of TCP and of UDP, and returns which of them it has.
var bind = nsx.Register("network/bind", func(*nsx.Parent, any) ([]string, error) {
	tcp, err := net.Listen("tcp", ":80")
	if err != nil {
		return nil, err
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", ":80")
	if err != nil {
		return nil, err
	}
	defer func() { _ = udp.Close() }()
	return []string{"tcp " + tcp.Addr().String(), "udp " + udp.LocalAddr().String()}, nil
})

// serve has a web server on port 80 of a host that says what its name is.
func serve(h *nstest.Host) error {
	l, err := h.Listen("tcp", ":80")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "I am "+h.Name()) })}
	go func() {
		defer GinkgoRecover()
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			Expect(err).NotTo(HaveOccurred())
		}
	}()
	DeferCleanup(s.Close)
	return nil
}

func registerPorts() {
	property.It("N6", func(ctx SpecContext, c *property.Check) {
		for _, network := range []string{"tcp", "udp"} {
			var held io.Closer
			var err error
			if network == "tcp" {
				held, err = net.Listen(network, ":80")
			} else {
				held, err = net.ListenPacket(network, ":80")
			}
			Expect(err).NotTo(HaveOccurred())
			c.Positive("while we have port 80 of "+network+", a child in our namespace cannot", func() {
				_, err := nsx.Run(ctx, nsx.Spec{}, bind, nil)
				c.Saw("error", err)
				Expect(err).To(MatchError(unix.EADDRINUSE))
			})
			for _, how := range ways {
				c.Negative("one in a namespace made by "+how.String()+" can", func() {
					list, err := nsx.Run(ctx, nsx.Spec{How: how, Kinds: nsx.Net}, bind, nil)
					c.Saw("it listens on", list)
					Expect(err).NotTo(HaveOccurred())
				})
			}
			Expect(held.Close()).To(Succeed())
		}
	})

	property.Seed("have a port 80 each: two web servers on two hosts serve at the same time", func(SpecContext) {
		red, blue, client := nstest.Current().Host("red"), nstest.Current().Host("blue"), nstest.Current().Host("client")
		Expect(serve(red)).To(Succeed())
		Expect(serve(blue)).To(Succeed())
		Expect(serve(red)).To(MatchError(unix.EADDRINUSE), "a second one on the same host")
		for _, h := range []*nstest.Host{red, blue} {
			answer, err := client.HTTPClient().Get("http://" + h.Name() + "/")
			Expect(err).NotTo(HaveOccurred())
			defer answer.Body.Close()
			Expect(io.ReadAll(answer.Body)).To(BeEquivalentTo("I am " + h.Name()))
		}
	})
}
