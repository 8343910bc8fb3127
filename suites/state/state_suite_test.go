// Package state_test shows what the state of an environment tells of things that are broken, each beside one that is not.
package state_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) { os.Exit(leaks.Main(m)) }

func TestState(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	nstest.RunSpecs(t, "State")
}

// look is the state of the environment.
func look(g Gomega) *nstest.State {
	GinkgoHelper()
	s, err := nstest.Current().State(context.Background())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.Errors).To(BeEmpty())
	return s
}

// on is a host in the state.
func on(g Gomega, name string) nstest.HostState {
	GinkgoHelper()
	for _, h := range look(g).Hosts {
		if h.Name == name {
			return h
		}
	}
	g.Expect(name).To(BeNil(), "there is no such host in the state")
	return nstest.HostState{}
}

// summary is that of the state.
func summary(g Gomega) string {
	GinkgoHelper()
	var b strings.Builder
	g.Expect(look(g).Summary(&b, 0)).To(Succeed())
	return b.String()
}

// start starts a program that runs to the end of the spec.
func start(h *nstest.Host, name string, args ...string) *nstest.Cmd {
	GinkgoHelper()
	c := h.Command(name, args...)
	Expect(c.Start()).To(Succeed())
	return c
}

// run runs a program to its end, as which it must succeed.
func run(h *nstest.Host, script string) string {
	GinkgoHelper()
	out, err := h.Command("sh", "-c", script).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	return strings.TrimSpace(string(out))
}

func listen(h *nstest.Host, network, address string) net.Listener {
	GinkgoHelper()
	l, err := h.Listen(network, address)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(l.Close)
	return l
}

func dial(h *nstest.Host, network, address string) net.Conn {
	GinkgoHelper()
	c, err := h.DialContext(context.Background(), network, address)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(c.Close)
	return c
}

func needs(program, pkg string) {
	GinkgoHelper()
	if _, err := exec.LookPath(program); err != nil {
		require.Skip(program+" is not installed", "install the package "+pkg)
	}
}
