package names_test

import (
	"context"
	"fmt"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/miekg/dns"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("The queries that the server remembers", func() {
	// ask sends a question, and waits for the answer if there is to be one.
	ask := func(h *nstest.Host, network, name string, qtype uint16, answered bool) {
		GinkgoHelper()
		c, err := h.DialContext(context.Background(), network, "127.0.0.53:53")
		Expect(err).NotTo(HaveOccurred())
		defer c.Close()
		conn := &dns.Conn{Conn: c}
		Expect(conn.WriteMsg(new(dns.Msg).SetQuestion(name, qtype))).To(Succeed())
		if answered {
			Expect(c.SetReadDeadline(time.Now().Add(30 * time.Second))).To(Succeed())
			_, err = conn.ReadMsg()
			Expect(err).NotTo(HaveOccurred())
		}
	}
	list := func(env *nstest.Env) (out []string) {
		GinkgoHelper()
		all, err := env.DNS().Queries()
		Expect(err).NotTo(HaveOccurred())
		for _, q := range all {
			fault := ""
			if q.Fault {
				fault = " by a fault"
			}
			out = append(out, fmt.Sprintf("%s %s %s %s: %s %q%s", q.Host, q.Transport, q.Name, q.Type, q.RCode, q.Answers, fault))
		}
		return out
	}

	It("say in order who has asked for what, how, and what came of it", func() {
		env := nstest.Current()
		client := env.Host("Client")
		set(nstest.DNSConfig{
			Records: []string{"www 60 CNAME web", "web A 192.0.2.1", `note TXT "two words"`},
			Faults:  []nstest.DNSFault{{Name: "lost", Answer: nstest.Lost}, {Name: "bad", Answer: nstest.ServFail}, {Name: "late", Delay: time.Millisecond}},
		})
		Expect(list(env)).To(BeEmpty())
		begin := time.Now()
		ask(client, "udp", "WWW.", dns.TypeA, true)
		ask(env.Self(), "tcp", "note.", dns.TypeTXT, true)
		ask(client, "udp", "nobody.", dns.TypeAAAA, true)
		ask(client, "udp", "web.", dns.TypeAAAA, true)
		ask(client, "udp", "bad.", dns.TypeMX, true)
		ask(client, "udp", "late.", 4711, true)
		ask(client, "udp", "lost.", dns.TypeA, false)
		Eventually(func() []string { return list(env) }).Should(HaveExactElements(
			`Client udp WWW. A: NOERROR ["WWW. 60 IN CNAME web." "web. 0 IN A 192.0.2.1"]`,
			`self tcp note. TXT: NOERROR ["note. 0 IN TXT \"two words\""]`,
			`Client udp nobody. AAAA: NXDOMAIN []`,
			`Client udp web. AAAA: NOERROR []`,
			`Client udp bad. MX: SERVFAIL [] by a fault`,
			`Client udp late. TYPE4711: NXDOMAIN [] by a fault`,
			`Client udp lost. A:  [] by a fault`,
		))
		for _, q := range queries(func(nstest.Query) bool { return true }) {
			Expect(q.Time).To(And(BeTemporally(">=", begin.Round(0)), BeTemporally("<=", time.Now())))
		}
	})

	It("and the records are one environment's alone", func() {
		env, sibling := nstest.Current(), nstest.New(GinkgoTB(), nstest.Config{})
		set(nstest.DNSConfig{Records: []string{"www A 192.0.2.1"}, Faults: []nstest.DNSFault{{Name: "bad", Answer: nstest.Refused}}})
		for _, name := range []string{"www.", "bad."} {
			ask(env.Self(), "tcp", name, dns.TypeA, true)
			ask(sibling.Self(), "tcp", name, dns.TypeA, true)
		}
		Expect(list(env)).To(HaveExactElements(`self tcp www. A: NOERROR ["www. 0 IN A 192.0.2.1"]`, `self tcp bad. A: REFUSED [] by a fault`))
		Expect(list(sibling)).To(HaveExactElements(`self tcp www. A: NXDOMAIN []`, `self tcp bad. A: NXDOMAIN []`))
		Expect(sibling.Close()).To(Succeed())
		Expect(sibling.DNS().Set(nstest.DNSConfig{})).To(MatchError(nstest.ErrClosed))
	})
})
