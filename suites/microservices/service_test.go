package microservices_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
)

// A service is a program that runs on a host, again and again if need be.
type service struct {
	host    *nstest.Host
	port    int
	program string
	flags   []string

	log     *gbytes.Buffer
	process *nstest.Process
	ended   chan error
}

// newService is a service that has yet to be started. Its log is shown if the spec fails.
func newService(host *nstest.Host, port int, program string, flags ...string) *service {
	s := &service{host: host, port: port, program: program, flags: flags, log: gbytes.NewBuffer()}
	DeferOnFailure(func() {
		AddReportEntry(fmt.Sprintf("log of %s on host %s", program, host.Name()), string(s.log.Contents()))
	})
	return s
}

// start starts the service and returns when it accepts connections.
func (s *service) start() {
	GinkgoHelper()
	cmd := s.host.Command(filepath.Join(binaries, s.program), s.flags...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	Expect(cmd.Start()).To(Succeed())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	s.process, s.ended = cmd.Process, ended
	Eventually(s.accepts).Should(Succeed())
}

// accepts is nil if the service accepts connections.
func (s *service) accepts() error {
	select {
	case err := <-s.ended:
		return StopTrying(fmt.Sprintf("%s ended: %v", s.program, err))
	default:
	}
	conn, err := s.host.DialContext(context.Background(), "tcp", net.JoinHostPort("localhost", strconv.Itoa(s.port)))
	if err != nil {
		return err
	}
	return conn.Close()
}

// stop asks the service to end, and sees that it does so in good order.
func (s *service) stop() {
	GinkgoHelper()
	Expect(s.process.Signal(syscall.SIGTERM)).To(Succeed())
	Eventually(s.ended).Should(Receive(BeNil()), "%s ends in good order", s.program)
}

// crash ends the service without any warning: kill -9.
func (s *service) crash() {
	GinkgoHelper()
	Expect(s.process.Kill()).To(Succeed())
	Eventually(s.ended).Should(Receive(MatchError(ContainSubstring("signal: killed"))))
}
