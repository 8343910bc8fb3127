package names_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A fault", func() {
	var (
		env         *nstest.Env
		client, web *nstest.Host
	)
	BeforeEach(func() {
		env = nstest.Current()
		client, web = env.Host("client"), env.Host("web")
		env.Host("other")
	})
	asked := func(fits func(nstest.Query) bool) []nstest.Query {
		return queries(func(q nstest.Query) bool { return q.Name == "web." && fits(q) })
	}

	DescribeTable("hides a name from every resolver, from one host, until it is taken away", func(answer nstest.DNSAnswer, want finding) {
		set(nstest.DNSConfig{Faults: []nstest.DNSFault{{Name: "web", Hosts: []string{"client"}, Answer: answer}}})
		expectFound(client, "web", want)
		Expect(asked(func(q nstest.Query) bool { return q.Host == "client" })).To(And(Not(BeEmpty()), HaveEach(HaveField("Fault", BeTrue()))))
		expectFound(client, "other", addresses(env.Host("other")))
		expectFound(web, "web", addresses(web))
		expectFound(env.Self(), "web", addresses(web))
		set(nstest.DNSConfig{})
		expectFound(client, "web", addresses(web))
	},
		Entry("there is no such name", nstest.NXDomain, notFound),
		Entry("the server fails", nstest.ServFail, failed),
		Entry("the server refuses", nstest.Refused, failed),
	)

	It("that truncates answers has resolvers ask over TCP", func() {
		over := func(transport string) []nstest.Query {
			return asked(func(q nstest.Query) bool { return q.Transport == transport })
		}
		expectFound(client, "web", addresses(web))
		Expect(over("tcp")).To(BeEmpty(), "the control: without the fault nobody does")
		set(nstest.DNSConfig{Faults: []nstest.DNSFault{{Answer: nstest.Truncated}}})
		before := len(over("udp"))
		expectFound(client, "web", addresses(web))
		Expect(over("udp")[before:]).To(And(Not(BeEmpty()), HaveEach(And(HaveField("Fault", BeTrue()), HaveField("Answers", BeEmpty())))))
		Expect(over("tcp")).To(And(HaveLen(2*len(resolvers)), HaveEach(And(HaveField("Fault", BeFalse()), HaveField("Answers", HaveLen(1))))))
	})

	for _, answer := range []nstest.DNSAnswer{nstest.Lost, nstest.ServFail, nstest.Refused} {
		It("that happens once ("+answer.String()+") makes resolvers ask again", func() {
			var hosts []*nstest.Host // one for each, so that all can ask at the same time
			var once []nstest.DNSFault
			for i := range resolvers {
				h := env.Host(fmt.Sprintf("client%d", i))
				hosts = append(hosts, h)
				for _, family := range []string{"A", "AAAA"} {
					once = append(once, nstest.DNSFault{Name: "web", Type: family, Hosts: []string{h.Name()}, Answer: answer, Times: 1})
				}
			}
			set(nstest.DNSConfig{Faults: once})
			got := make([]finding, len(resolvers))
			var wg sync.WaitGroup
			for i, r := range resolvers {
				wg.Go(func() { got[i] = r.find(hosts[i], "web") })
			}
			wg.Wait()
			for i, r := range resolvers {
				Expect(got[i]).To(Equal(addresses(web)), r.name)
				for _, family := range []string{"A", "AAAA"} {
					got := asked(func(q nstest.Query) bool { return q.Host == hosts[i].Name() && q.Type == family })
					Expect(got).To(HaveExactElements(
						And(HaveField("Fault", BeTrue()), HaveField("Answers", BeEmpty())),
						And(HaveField("Fault", BeFalse()), HaveField("RCode", "NOERROR"), HaveField("Answers", HaveLen(1)))), "%s: %s", r.name, family)
				}
			}
		})
	}

	It("of one family leaves the other", func() {
		set(nstest.DNSConfig{Faults: []nstest.DNSFault{{Name: "web", Type: "AAAA", Answer: nstest.ServFail}}})
		expectFound(client, "web", found(web.Addr().String()))
		set(nstest.DNSConfig{})
		expectFound(client, "web", addresses(web))
	})

	It("that loses answers makes resolvers give up after some seconds, or do with one family", func() {
		deaf, half := env.Host("deaf"), env.Host("half")
		set(nstest.DNSConfig{Faults: []nstest.DNSFault{
			{Name: "web", Hosts: []string{"deaf"}, Answer: nstest.Lost},
			{Name: "web", Type: "AAAA", Hosts: []string{"half"}, Answer: nstest.Lost},
		}})
		results := map[*nstest.Host]chan []finding{}
		for _, h := range []*nstest.Host{deaf, half, client} {
			result := make(chan []finding, 1)
			results[h] = result
			go func() { result <- find(h, "web") }()
		}
		expectFindings(<-results[client], addresses(web))
		expectFindings(<-results[deaf], failed)
		expectFindings(<-results[half], found(web.Addr().String()))
		Expect(asked(func(q nstest.Query) bool { return q.Host == "deaf" })).To(And(Not(BeEmpty()), HaveEach(And(HaveField("Fault", BeTrue()), HaveField("RCode", "")))))
	})

	It("delays answers, which those who wait for get", func() {
		const delay = 300 * time.Millisecond
		set(nstest.DNSConfig{Faults: []nstest.DNSFault{{Name: "web", Delay: delay}}})
		begin := time.Now()
		expectFound(client, "web", addresses(web))
		Expect(time.Since(begin)).To(BeNumerically(">=", delay))
		ctx, cancel := context.WithTimeout(context.Background(), delay/3)
		defer cancel()
		_, err := client.LookupNetIP(ctx, "web")
		Expect(err).To(MatchError(context.DeadlineExceeded))
		Expect(client.LookupNetIP(context.Background(), "other")).To(HaveLen(2))
	})

	It("does not happen to names that an earlier one is for", func() {
		set(nstest.DNSConfig{
			Records: []string{"good.test A 192.0.2.1", "bad.test A 192.0.2.2"},
			Faults:  []nstest.DNSFault{{Name: "good.test"}, {Name: "*.test", Answer: nstest.NXDomain}},
		})
		expectFound(client, "good.test", found("192.0.2.1"))
		expectFound(client, "bad.test", notFound)
	})
})
