package smoke_test

import (
	"context"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A cable", func() {
	It("that is pulled takes the carrier away and leaves the device up", func() {
		env := fresh()
		web := env.Host("web")
		device := func(file string) (string, error) { return ask[string](web, "read", "/sys/class/net/eth0/"+file) }
		flags, err := device("flags")
		Expect(err).NotTo(HaveOccurred())
		Expect(device("carrier")).To(Equal("1\n"))
		Expect(device("operstate")).To(Equal("up\n"))

		Expect(web.Link("").Down()).To(Succeed())
		Eventually(device).WithArguments("carrier").Should(Equal("0\n"))
		Eventually(device).WithArguments("operstate").ShouldNot(Equal("up\n"))
		Expect(device("flags")).To(Equal(flags), "IFF_UP and the rest are the host's own affair")
		Expect(web.Link("").Down()).To(Succeed(), "again")

		Expect(web.Link("").Up()).To(Succeed())
		Expect(device("carrier")).To(Equal("1\n"))
		Expect(web.Link("").Up()).To(Succeed(), "again")
	})

	It("that is pulled cuts its host off, and nobody else", func() {
		env := fresh()
		for _, name := range []string{"web", "db"} {
			listener, err := env.Host(name).Listen("tcp", ":80")
			Expect(err).NotTo(HaveOccurred())
			serve(listener, name)
		}
		client := env.Host("client")
		Expect(greeting(client, "tcp", "web:80")).To(Equal("web"))
		Expect(env.Host("web").Link("").Down()).To(Succeed())
		Expect(passes(client, "web")).To(BeFalse())
		Eventually(passes).WithArguments(client, "db").Should(BeTrue())
		Expect(env.Host("web").Link("").Up()).To(Succeed())
		Eventually(passes).WithArguments(client, "web").Should(BeTrue())
	})
})

var _ = Describe("A partition", func() {
	var (
		env     *nstest.Env
		a, b, c *nstest.Host
	)

	BeforeEach(func() {
		env = fresh()
		a, b, c = env.Host("a"), env.Host("b"), env.Host("c")
		for _, host := range []*nstest.Host{a, b, c} {
			listener, err := host.Listen("tcp", ":80")
			Expect(err).NotTo(HaveOccurred())
			serve(listener, host.Name())
		}
	})

	It("cuts groups from each other, until it is healed", func() {
		fault := env.Partition([]*nstest.Host{a}, []*nstest.Host{b})
		Expect(passes(a, "b")).To(BeFalse())
		Expect(passes(b, "a")).To(BeFalse())
		for _, pair := range [][2]*nstest.Host{{a, c}, {c, a}, {b, c}, {c, b}} {
			Eventually(passes).WithArguments(pair[0], pair[1].Name()).Should(BeTrue(), "c is in no group")
		}
		fault.Heal()
		Eventually(passes).WithArguments(a, "b").Should(BeTrue())
		Eventually(passes).WithArguments(b, "a").Should(BeTrue())
		fault.Heal()
		Expect(fault.Close()).To(Succeed())
	})

	It("leaves the hosts of a group together", func() {
		env.Partition([]*nstest.Host{a, b}, []*nstest.Host{c})
		Eventually(passes).WithArguments(a, "b").Should(BeTrue())
		Expect(passes(a, "c")).To(BeFalse())
		Expect(passes(c, "b")).To(BeFalse())
	})

	It("adds up with others", func() {
		first := env.Partition([]*nstest.Host{a}, []*nstest.Host{b})
		second := env.Partition([]*nstest.Host{a}, []*nstest.Host{b}, []*nstest.Host{c})
		second.Heal()
		Expect(passes(a, "b")).To(BeFalse(), "the first is in force")
		Eventually(passes).WithArguments(a, "c").Should(BeTrue())
		first.Heal()
		Eventually(passes).WithArguments(a, "b").Should(BeTrue())
	})

	It("cuts IPv6 as well", func() {
		address := "[" + b.Addrs()[1].String() + "]:80"
		Expect(greeting(a, "tcp6", address)).To(Equal("b"), "the control")
		env.Partition([]*nstest.Host{a}, []*nstest.Host{b})
		Expect(onlyError(greetingSoon(a, "tcp6", address))).To(HaveOccurred())
	})
})

// passes reports whether a connection from one host to another carries a greeting.
func passes(from *nstest.Host, to string) bool {
	text, err := greetingSoon(from, "tcp4", to+":80")
	return err == nil && text == to
}

// greetingSoon is greeting for connections that may never come about. On a path that is open one takes a millisecond.
func greetingSoon(host *nstest.Host, network, address string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 400*time.Millisecond)
	defer cancel()
	return greetingContext(ctx, host, network, address)
}
