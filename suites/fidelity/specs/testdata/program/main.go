// Command program is a suite in a program that is no test: it has no flags of package testing, and a T of its own.
package main

import (
	"flag"
	"fmt"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

type result struct{ failed bool }

func (r *result) Fail() { r.failed = true }

func main() {
	name := flag.String("name", "nobody", "whom to greet")
	flag.Parse()
	RegisterFailHandler(Fail)
	Describe("a program", func() {
		It("has its own flags", func() { GinkgoWriter.Println("hello", *name) })
		It("runs inside", func() { Expect(os.Hostname()).To(Equal("spec")) })
		It("fails", func() { Expect(flag.Args()).To(BeEmpty()) })
	})
	r := &result{}
	passed := nstest.RunSpecs(r, "Program")
	fmt.Println("passed:", passed, "failed:", r.failed, "arguments:", flag.Args())
	if r.failed {
		os.Exit(17)
	}
}
