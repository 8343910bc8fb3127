package smoke_test

import (
	"fmt"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// many is how many specs have the same hosts and ports, beside each other under `ginkgo -p`.
const many = 20

var _ = Describe("Hosts web and db, on :80 and :5432,", func() {
	for i := range many {
		It(fmt.Sprintf("are there in spec %d of %d", i+1, many), func() { serveBoth(fresh(), fmt.Sprint("spec ", i)) })
	}

	It(fmt.Sprintf("are there in %d environments at once", many), func() {
		envs := make([]*nstest.Env, many)
		for i := range envs {
			envs[i] = fresh()
			serveBoth(envs[i], fmt.Sprint("environment ", i))
		}
		for i, env := range envs { // all of them exist now, and answer as themselves still
			Expect(greeting(env.Host("client"), "tcp", "web:80")).To(Equal(fmt.Sprintf("web of environment %d", i)))
		}
	})
})

func serveBoth(env *nstest.Env, name string) {
	GinkgoHelper()
	for host, port := range map[string]string{"web": ":80", "db": ":5432"} {
		listener, err := env.Host(host).Listen("tcp", port)
		Expect(err).NotTo(HaveOccurred())
		serve(listener, host+" of "+name)
		Expect(greeting(env.Host("client"), "tcp", host+port)).To(Equal(host + " of " + name))
	}
}
