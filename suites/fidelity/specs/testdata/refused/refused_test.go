// Package refused is suites that cannot be run, one for each value of REFUSED.
package refused

import (
	"fmt"
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"

	"github.com/hermetic-go/nstest/nstest"
)

func TestRefused(t *testing.T) { nstest.RunSpecs(t, "Refused") }

var (
	_ = It("is all right", func() {})
	_ = Describe("something else", func() { It("is all right", func() {}) })
)

// names are in another order each time that somebody goes through them.
var names = map[string]bool{}

func init() {
	for i := range 20 {
		names[fmt.Sprintf("number %d", i)] = true
	}
	switch os.Getenv("REFUSED") {
	case "order in a container":
		Describe("container", func() { register() })
	case "order of containers":
		Describe("container", func() {
			for name := range names {
				Describe(name, func() { It("runs", func() { fmt.Printf("RAN %s as %s\n", name, CurrentSpecReport().FullText()) }) })
			}
		})
	case "order at the top":
		register()
	case "order in an Ordered container":
		Describe("container", Ordered, func() { register() })
	case "number of nodes":
		Describe("container", func() {
			if name, _ := os.Hostname(); name != "spec" { // as it is in a spec's environment
				It("is there", func() {})
			}
			It("is there always", func() {})
		})
	case "InProcess on BeforeEach":
		BeforeEach(func() {}, nstest.InProcess)
	case "With on AfterEach":
		AfterEach(func() {}, nstest.With(nstest.Config{}))
	case "With in an Ordered container":
		Describe("container", Ordered, func() { It("runs", nstest.With(nstest.Config{}), func() {}) })
	case "With twice":
		It("runs", nstest.With(nstest.Config{}), nstest.With(nstest.Config{}), func() {})
	case "With in process":
		Describe("container", nstest.InProcess, func() { It("runs", nstest.With(nstest.Config{}), func() {}) })
	case "InProcess on a report":
		ReportAfterEach(func(SpecReport) {}, nstest.InProcess)
	case "With on BeforeSuite in process":
		BeforeSuite(func() {}, nstest.InProcess, nstest.With(nstest.Config{}))
	}
}

func register() {
	for name := range names {
		It(name, func() { fmt.Printf("RAN %s as %s\n", name, CurrentSpecReport().FullText()) })
	}
}
