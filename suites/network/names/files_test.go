package names_test

import (
	"context"
	"os"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("The files of a host", func() {
	var (
		env    *nstest.Env
		client *nstest.Host
	)
	BeforeEach(func() {
		env = nstest.Current()
		client = env.Host("client")
		set(nstest.DNSConfig{Records: []string{"web.shop.test A 192.0.2.1", "api.v2.shop.test A 192.0.2.2", "api.v2 A 192.0.2.3"}})
	})
	write := func(path, text string) {
		GinkgoHelper()
		out, err := client.Command("sh", "-c", `printf %s "$1" >"$2"`, "sh", text, path).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
	}
	read := func(path string) string {
		GinkgoHelper()
		out, err := client.Command("cat", path).Output()
		Expect(err).NotTo(HaveOccurred())
		return string(out)
	}
	// programs are the resolvers that read them.
	programs := func(name string, want finding) {
		GinkgoHelper()
		for _, r := range resolvers {
			if r.name == "Host.LookupNetIP" {
				continue
			}
			Expect(r.find(client, name)).To(Equal(r.tells(want)), "%s by %s", name, r.name)
		}
	}

	It("make names complete, and a program that writes search domains has them", func() {
		conf := read("/etc/resolv.conf")
		Expect(conf).NotTo(ContainSubstring("search"))
		programs("web", notFound)
		programs("api.v2", found("192.0.2.3"))
		write("/etc/resolv.conf", conf+"search shop.test\n")
		programs("web", found("192.0.2.1"))
		programs("web.", notFound)
		programs("api.v2", found("192.0.2.3"))
		write("/etc/resolv.conf", conf+"search shop.test\noptions ndots:2\n")
		programs("api.v2", found("192.0.2.2"))
		Expect(os.ReadFile("/etc/resolv.conf")).To(BeEquivalentTo(conf), "the file is the host's alone")
	})

	It("name no domain, but a host whose name has one looks there first", func() {
		db := env.Host("db.shop")
		programs("db", notFound)
		client = env.Host("api.shop")
		programs("db", addresses(db))
		programs("db.", notFound)
		_, err := client.LookupNetIP(context.Background(), "db")
		Expect(judge(nil, err)).To(Equal(notFound))
		Expect(client.LookupNetIP(context.Background(), "db.shop")).To(ConsistOf(db.Addrs()))
	})

	It("come before the server, and know localhost and the host", func() {
		var before int
		count := func() int { return len(queries(func(nstest.Query) bool { return true })) }
		before = count()
		programs("localhost", found("127.0.0.1", "::1"))
		programs("client", addresses(client))
		Expect(count()).To(Equal(before))
		programs("web.shop.test", found("192.0.2.1"))
		Expect(count()).To(BeNumerically(">", before), "the control: for other names they ask")
		write("/etc/hosts", read("/etc/hosts")+"192.0.2.9 web.shop.test\n")
		programs("web.shop.test", found("192.0.2.9"))
		Expect(client.Command("getent", "ahosts", "a.localhost").Output()).To(ContainSubstring("::1"))
	})
})
