package names_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Records", func() {
	var (
		env         *nstest.Env
		client, web *nstest.Host
	)
	BeforeEach(func() {
		env = nstest.Current()
		client, web = env.Host("client"), env.Host("web")
	})

	It("are seen by every resolver, as soon as they are set and for as long", func() {
		expectFound(client, "www.shop.test", notFound)
		set(nstest.DNSConfig{Records: []string{
			"www.shop.test 60 IN CNAME shop", "shop CNAME web", "*.pages A 192.0.2.7", "both A 192.0.2.1\nboth AAAA 2001:db8::1",
		}})
		expectFound(client, "www.shop.test", addresses(web))
		expectFound(client, "any.pages", found("192.0.2.7"))
		expectFound(client, "both", found("192.0.2.1", "2001:db8::1"))
		expectFound(env.Self(), "both", found("192.0.2.1", "2001:db8::1"))
		expectFound(client, "web", addresses(web))
		set(nstest.DNSConfig{})
		expectFound(client, "both", notFound)
	})

	It("lead connections to where an alias points", func() {
		l, err := web.Listen("tcp", ":80")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(l.Close)
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				_, _ = io.WriteString(c, "web") // who does not get it fails the spec
				c.Close()
			}
		}()
		greeting := func(name string) (string, error) {
			c, err := client.DialContext(context.Background(), "tcp", name+":80")
			if err != nil {
				return "", err
			}
			defer c.Close()
			text, err := io.ReadAll(c)
			return string(text), err
		}
		_, err = greeting("service")
		Expect(err).To(MatchError(ContainSubstring("no such host")))
		set(nstest.DNSConfig{Records: []string{"service CNAME web"}})
		Expect(greeting("service")).To(Equal("web"))
	})

	It("of other types are seen by Go's resolver", func(ctx SpecContext) {
		set(nstest.DNSConfig{Records: []string{
			"_http._tcp.shop.test SRV 2 0 8080 web\n_http._tcp.shop.test SRV 1 0 80 web", "shop.test MX 10 mail.test", `shop.test TXT "one string" two`,
			"shop.test NS ns.test", "7.2.0.192.in-addr.arpa PTR seven.test", "alias.test CNAME web",
		}})
		r := &net.Resolver{PreferGo: true}
		_, srv, err := r.LookupSRV(ctx, "http", "tcp", "shop.test")
		Expect(err).NotTo(HaveOccurred())
		Expect(srv).To(HaveExactElements(&net.SRV{Target: "web.", Port: 80, Priority: 1}, &net.SRV{Target: "web.", Port: 8080, Priority: 2}))
		Expect(r.LookupMX(ctx, "shop.test")).To(HaveExactElements(&net.MX{Host: "mail.test.", Pref: 10}))
		Expect(r.LookupTXT(ctx, "shop.test")).To(HaveExactElements("one stringtwo"))
		Expect(r.LookupNS(ctx, "shop.test")).To(HaveExactElements(&net.NS{Host: "ns.test."}))
		Expect(r.LookupAddr(ctx, "192.0.2.7")).To(HaveExactElements("seven.test."))
		Expect(r.LookupCNAME(ctx, "alias.test")).To(Equal("web."))
		for _, a := range web.Addrs() {
			Expect(r.LookupAddr(ctx, a.String())).To(HaveExactElements("web."))
		}
		_, err = r.LookupAddr(ctx, "192.0.2.8")
		Expect(judge(nil, err)).To(Equal(notFound), "the control: there is none for this address")
	})

	It("make a name fail over in one line, and fall back in another", func() {
		db1, db2 := env.Host("db"), env.Host("db2")
		expectFound(client, "db", addresses(db1))
		Expect(env.DNS().Replace("db CNAME db2")).To(Succeed())
		expectFound(client, "db", addresses(db2))
		Expect(env.DNS().Remove("db")).To(Succeed())
		expectFound(client, "db", addresses(db1))
		Expect(env.DNS().Remove("db")).To(MatchError(ContainSubstring(`there is no record of "db"`)))
	})

	It("lead to a host that comes, goes and comes again", func() {
		set(nstest.DNSConfig{Records: []string{"alias CNAME late"}})
		expectFound(client, "alias", notFound)
		for range 2 {
			expectFound(client, "alias", addresses(env.Host("late")))
			Expect(env.RemoveHost("late")).To(Succeed())
			expectFound(client, "alias", notFound)
		}
	})

	It("that make an answer too long for a datagram come whole, over TCP", func() {
		var records, addrs []string
		for i := range 100 {
			addrs = append(addrs, fmt.Sprintf("192.0.2.%d", i))
			records = append(records, "many A "+addrs[i])
		}
		set(nstest.DNSConfig{Records: append(records, "one A 192.0.2.1")})
		transports := func(name string) (out []string) {
			for _, q := range queries(func(q nstest.Query) bool { return q.Name == name+"." && q.Type == "A" }) {
				out = append(out, q.Transport)
			}
			return out
		}
		expectFound(client, "one", found("192.0.2.1"))
		Expect(transports("one")).To(And(Not(BeEmpty()), HaveEach("udp")))
		expectFound(client, "many", found(addrs...))
		Expect(transports("many")).To(ContainElements("udp", "tcp"))
	})

	It("can be other ones for some hosts", func() {
		inner, outer := env.Host("inner"), env.Host("outer")
		set(nstest.DNSConfig{
			Records: []string{"portal A 203.0.113.1"},
			Views:   []nstest.DNSView{{Hosts: []string{"inner"}, Records: []string{"portal CNAME web", "wiki A 10.9.9.9"}}},
		})
		expectFound(inner, "portal", addresses(web))
		expectFound(outer, "portal", found("203.0.113.1"))
		expectFound(inner, "wiki", found("10.9.9.9"))
		expectFound(outer, "wiki", notFound)
		Expect(env.RemoveHost("inner")).To(Succeed())
		expectFound(env.Host("inner"), "wiki", found("10.9.9.9"))
	})

	It("get IPv6 addresses by DNS64 where they have none", func() {
		legacy, err := env.AddNetwork(nstest.NetworkConfig{Name: "legacy", NoIPv6: true, Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
		Expect(err).NotTo(HaveOccurred())
		old, err := env.AddHost(nstest.HostConfig{Name: "old", Networks: []nstest.Attachment{{Network: legacy.Name(), Addrs: []netip.Addr{netip.MustParseAddr("198.51.100.7")}}}})
		Expect(err).NotTo(HaveOccurred())
		expectFound(client, "old", addresses(old))
		set(nstest.DNSConfig{DNS64: netip.MustParsePrefix("64:ff9b::/96")})
		expectFound(client, "old", found("198.51.100.7", "64:ff9b::c633:6407"))
		expectFound(client, "web", addresses(web))
		expectFound(client, "ipv4only.arpa", found("192.0.0.170", "192.0.0.171", "64:ff9b::c000:aa", "64:ff9b::c000:ab"))
		Expect(net.LookupAddr("64:ff9b::c633:6407")).To(HaveExactElements("old."))
	})

	DescribeTable("are refused by name, and what was set stays", func(cfg nstest.DNSConfig, want string) {
		set(nstest.DNSConfig{Records: []string{"kept A 192.0.2.1"}})
		err := env.DNS().Set(cfg)
		Expect(err).To(MatchError(ContainSubstring(want)))
		Expect(err).To(BeAssignableToTypeOf(&nstest.Error{}))
		Expect(client.LookupNetIP(context.Background(), "kept")).To(HaveExactElements(netip.MustParseAddr("192.0.2.1")))
	},
		Entry("malformed", nstest.DNSConfig{Records: []string{"a A 192.0.2.1", "www IN CNAM web"}}, `record "www IN CNAM web"`),
		Entry("a line of a file", nstest.DNSConfig{Records: []string{"$ORIGIN test.\na A 192.0.2.1\nb A 2001:db8::1\n"}}, `record "b A 2001:db8::1"`),
		Entry("an alias with other data", nstest.DNSConfig{Records: []string{"www CNAME web", "www TXT x"}}, "www. is an alias and has other records too"),
		Entry("a file of the keeper's", nstest.DNSConfig{Records: []string{"$INCLUDE /etc/passwd"}}, "$INCLUDE directive not allowed"),
		Entry("too many", nstest.DNSConfig{Records: []string{strings.Repeat("a A 192.0.2.1\n", 4000), strings.Repeat("b A 192.0.2.1\n", 97)}}, "more than 4096 records"),
		Entry("a view of nobody", nstest.DNSConfig{Views: []nstest.DNSView{{Hosts: []string{"web"}, Records: []string{"a A 192.0.2.1"}}, {Hosts: []string{"wbe"}}}}, `view 2: there is no host "wbe"`),
		Entry("a fault of nobody", nstest.DNSConfig{Faults: []nstest.DNSFault{{Hosts: []string{"wbe"}}}}, `fault 1: there is no host "wbe"`),
		Entry("a fault of no kind", nstest.DNSConfig{Faults: []nstest.DNSFault{{Answer: 17}}}, `fault 1: there is no answer "DNSAnswer(17)"`),
		Entry("a prefix of IPv4", nstest.DNSConfig{DNS64: netip.MustParsePrefix("192.0.2.0/24")}, "DNS64: 192.0.2.0/24"),
	)
})
