package smoke_test

import (
	"errors"
	"net"
	"os"
	"runtime"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Do", func() {
	It("is refused to a program without rights over the host", func() {
		require.Ordinary()
		err := fresh().Self().Do(func() error { panic("it must not run") })
		Expect(err).To(MatchError(nstest.ErrNotPrivileged))
		var e *nstest.Error
		Expect(errors.As(err, &e)).To(BeTrue())
		Expect(e.Remedy).To(ContainSubstring("nstest run"))
	})

	Context("by a privileged program", func() {
		var host *nstest.Host

		BeforeEach(func() {
			require.Root()
			host = fresh().Host("web")
		})

		It("runs inside the host", func() {
			var hostname, hosts string
			Expect(host.Do(func() (err error) {
				if hostname, err = os.Hostname(); err != nil {
					return err
				}
				content, err := os.ReadFile("/etc/hosts")
				hosts = string(content)
				return err
			})).To(Succeed())
			Expect(hostname).To(Equal("web"))
			Expect(hosts).To(ContainSubstring("web"))
		})

		It("makes sockets that stay in the host", func() {
			var listener net.Listener
			Expect(host.Do(func() (err error) {
				listener, err = net.Listen("tcp4", ":80")
				return err
			})).To(Succeed())
			serve(listener, "hello")
			Expect(greeting(host.Env().Host("client"), "tcp", "web:80")).To(Equal("hello"))
		})

		It("leaves goroutines that it starts outside", func() {
			machine, err := os.Hostname()
			Expect(err).NotTo(HaveOccurred())
			names := make(chan string, 1)
			Expect(host.Do(func() error {
				go func() {
					name, _ := os.Hostname()
					names <- name
				}()
				return nil
			})).To(Succeed())
			Eventually(names).Should(Receive(Equal(machine)))
		})

		It("gives back what the function does: an error", func() {
			mine := errors.New("mine")
			Expect(host.Do(func() error { return mine })).To(BeIdenticalTo(mine))
		})

		It("gives back what the function does: a panic", func() {
			Expect(func() { _ = host.Do(func() error { panic("mine") }) }).To(PanicWith(ContainSubstring("mine")))
			Expect(host.Do(func() error { return nil })).To(Succeed(), "afterwards")
		})

		It("gives back what the function does: Goexit", func() {
			done := make(chan string, 1)
			go func() {
				defer close(done)
				_ = host.Do(func() error { runtime.Goexit(); return nil })
				done <- "went on"
			}()
			Eventually(done).Should(BeClosed())
			Expect(host.Do(func() error { return nil })).To(Succeed(), "afterwards")
		})

		It("leaves the program where it was", func() {
			before, err := here[identity]("identity")
			Expect(err).NotTo(HaveOccurred())
			for range 50 {
				Expect(host.Do(func() error { return nil })).To(Succeed())
			}
			Expect(here[identity]("identity")).To(And(
				HaveField("Hostname", before.Hostname), HaveField("NetworkNamespace", before.NetworkNamespace)))
		})
	})
})
