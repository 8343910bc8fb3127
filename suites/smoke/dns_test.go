package smoke_test

import (
	"context"
	"errors"
	"net"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Names", func() {
	// Both ways to look a name up from a host: by this program, and by one that runs there.
	ways := map[string]func(*nstest.Host, string) ([]string, error){
		"Host.LookupNetIP": func(host *nstest.Host, name string) ([]string, error) {
			addrs, err := host.LookupNetIP(context.Background(), name)
			var texts []string
			for _, a := range addrs {
				texts = append(texts, a.String())
			}
			return texts, err
		},
		"a program on the host": func(host *nstest.Host, name string) ([]string, error) {
			return ask[[]string](host, "lookup", name)
		},
	}
	for way, lookup := range ways {
		It("are those of all hosts, everywhere, to "+way, func() {
			env := fresh()
			hosts := []*nstest.Host{env.Self(), env.Host("web"), env.Host("db")}
			for _, from := range hosts {
				for _, to := range hosts {
					var want []string
					for _, a := range to.Addrs() {
						want = append(want, a.String())
					}
					Expect(want).To(HaveLen(2), "IPv4 and IPv6")
					Expect(lookup(from, to.Name())).To(ContainElements(want), "%s, asked on %s", to.Name(), from.Name())
				}
			}
			Expect(lookup(env.Self(), "WEB")).To(ContainElement(env.Host("web").Addr().String()))
			Expect(lookup(env.Self(), "localhost")).To(ContainElement("127.0.0.1"))
		})

		It("that nobody has do not resolve, to "+way, func() {
			env := fresh()
			Expect(onlyError(lookup(env.Self(), "db"))).To(HaveOccurred())
			db := env.Host("db")
			Expect(lookup(env.Self(), "db")).To(ContainElement(db.Addr().String()))
			Expect(env.RemoveHost("db")).To(Succeed())
			Expect(onlyError(lookup(env.Self(), "db"))).To(HaveOccurred())
		})
	}

	It("that nobody has are reported as such", func() {
		_, err := fresh().Self().LookupNetIP(context.Background(), "nobody")
		var e *net.DNSError
		Expect(errors.As(err, &e)).To(BeTrue())
		Expect(e.IsNotFound).To(BeTrue())
	})

	It("of one environment are not those of another", func() {
		here, there := fresh(), fresh()
		here.Host("web")
		Expect(here.Self().LookupNetIP(context.Background(), "web")).NotTo(BeEmpty(), "the control")
		Expect(onlyError(there.Self().LookupNetIP(context.Background(), "web"))).To(HaveOccurred())
	})
})
