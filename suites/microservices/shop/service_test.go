package shop_test

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hermetic-go/nstest/fixtures/wait"
	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// A service is one of our programs on a host, which can be ended and started again.
type service struct {
	host    *nstest.Host
	program string
	flags   []string
	process *wait.Process
}

// start starts a service, which serves when start returns. Its log is shown if the spec fails.
func start(host *nstest.Host, program string, flags ...string) *service {
	GinkgoHelper()
	s := &service{host: host, program: program, flags: flags}
	s.launch()
	s.ready()
	return s
}

// launch starts the program.
func (s *service) launch() {
	GinkgoHelper()
	process, err := wait.Start(s.host.Command(filepath.Join(prepared.Binaries, s.program), s.flags...))
	Expect(err).NotTo(HaveOccurred())
	s.process = process
	DeferOnFailure(func() {
		AddReportEntry(fmt.Sprintf("log of %s on host %s", s.program, s.host.Name()), process.Output())
	})
}

// ready waits until the service serves.
func (s *service) ready() {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	Expect(wait.Until(ctx, s.process, wait.ForHTTP(s.host, "http://localhost/healthz"))).To(Succeed())
}

// stop asks the service to end, and sees that it does so in good order.
func (s *service) stop() {
	GinkgoHelper()
	s.signal(syscall.SIGTERM)
	s.ends()
}

// ends waits until the service has ended in good order.
func (s *service) ends() {
	GinkgoHelper()
	Eventually(s.process.Done()).Should(BeClosed())
	Expect(s.process.Err()).NotTo(HaveOccurred(), "%s on %s", s.program, s.host.Name())
}

// again starts the service again, from that program.
func (s *service) again(program string) {
	GinkgoHelper()
	s.program = program
	s.launch()
	s.ready()
}

// crash ends the service without any warning: kill -9.
func (s *service) crash() {
	GinkgoHelper()
	s.signal(syscall.SIGKILL)
	Eventually(s.process.Done()).Should(BeClosed())
	Expect(s.process.Err()).To(MatchError(ContainSubstring("signal: killed")))
}

// signal sends a signal: SIGSTOP makes a service infinitely slow, until SIGCONT.
func (s *service) signal(sig syscall.Signal) {
	GinkgoHelper()
	Expect(s.process.Cmd().Process.Signal(sig)).To(Succeed())
}
