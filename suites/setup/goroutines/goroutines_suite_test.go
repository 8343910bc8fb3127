// Package goroutines is a suite that looks for leaked goroutines around each spec, as gleak's documentation shows it.
package goroutines

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/hermetic-go/nstest/nstest"
)

func TestGoroutines(t *testing.T) {
	RegisterFailHandler(Fail)
	nstest.RunSpecs(t, "Goroutines")
}

var before []gleak.Goroutine

var _ = BeforeEach(func() {
	before = gleak.Goroutines()
	DeferCleanup(func() { Eventually(gleak.Goroutines).ShouldNot(gleak.HaveLeaked(before)) })
})

var _ = It("finds none of nstest's", func() {})

var _ = It("finds none of nstest's beside a node that takes a context", func(SpecContext) {})

var _ = It("finds the spec's", func() {
	stop := make(chan struct{})
	go func() { <-stop }()
	Eventually(gleak.Goroutines).Should(gleak.HaveLeaked(before))
	close(stop)
})
