// Package nat_test shows what kinds of NAT do to those behind them. Kinds are told apart by packets alone, as RFC 5780 and
// RFC 3489 do it: by what address a server sees, and by who gets an answer through.
package nat_test

import (
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
)

func TestMain(m *testing.M) { os.Exit(leaks.Main(m)) }

func TestNAT(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	suite, reporter := GinkgoConfiguration()
	reporter.Verbose = reporter.Verbose || testing.Verbose()
	nstest.RunSpecs(t, "NAT", suite, reporter)
}
