// Package held_test is a suite of which FAIL says what fails.
package held_test

import (
	"os"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestHeld(t *testing.T) {
	RegisterFailHandler(Fail)
	nstest.RunSpecs(t, "Held")
}

// at is where something may fail, with a host of that name.
func at(what string) {
	if os.Getenv("FAIL") == what {
		nstest.Current().Host("here")
		Fail("as told")
	}
}

// ran is that a spec has, in this process.
var ran bool

// inSuites is at where the suite's own nodes run, and not in a spec's process.
func inSuites(what string) {
	if !ran {
		at(what)
	}
}

var _ = func() bool {
	setUp := func() {
		at("set-up")
		if nstest.Current().Name() == "is a spec" {
			at("set-up of the spec")
		}
		DeferCleanup(func() { inSuites("clean-up") })
	}
	switch os.Getenv("SETUP") {
	case "plain":
		BeforeSuite(setUp)
	case "synchronized":
		SynchronizedBeforeSuite(func() []byte { return nil }, func([]byte) { setUp() })
	}
	return AfterSuite(func() { inSuites("tear-down") })
}()

var _ = BeforeEach(func() { ran = true })

var _ = It("is a spec", func() { at("spec") })

var _ = Describe("in order", Ordered, ContinueOnFailure, func() {
	BeforeAll(func() { at("before all") })
	BeforeEach(func() { at("before each") })
	It("runs first", func() { at("order") })
	It("runs second", func() {
		at("order")
		if os.Getenv("FAIL") == "within" {
			nstest.New(GinkgoTB(), nstest.Config{Name: "sibling"})
			at("within")
		}
	})
	AfterAll(func() { at("after all") })
})
