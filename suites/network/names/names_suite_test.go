// Package names_test shows what the programs of an environment see of its name server: through the resolvers of Go and of
// libc, and through Host. What the server is told to get wrong, they get wrong as on a machine whose server does.
package names_test

import (
	"os"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) {
	if names := os.Getenv(lookupVariable); names != "" {
		os.Exit(lookUp(names))
	}
	os.Exit(leaks.Main(m))
}

func TestNames(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	nstest.RunSpecs(t, "Names")
}

// set configures the name server of the spec's environment.
func set(cfg nstest.DNSConfig) {
	GinkgoHelper()
	Expect(nstest.Current().DNS().Set(cfg)).To(Succeed())
}

// queries are those that fit, as host, transport, name, type, code and whether a fault had a part.
func queries(fits func(nstest.Query) bool) []nstest.Query {
	GinkgoHelper()
	all, err := nstest.Current().DNS().Queries()
	Expect(err).NotTo(HaveOccurred())
	var out []nstest.Query
	for _, q := range all {
		if fits(q) {
			out = append(out, q)
		}
	}
	return out
}
