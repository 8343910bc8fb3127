// Package ipv6_test shows what routers do for IPv6: they advertise themselves, translate prefixes, and lead to IPv4.
package ipv6_test

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

func TestIPv6(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	suite, reporter := GinkgoConfiguration()
	reporter.Verbose = reporter.Verbose || testing.Verbose()
	nstest.RunSpecs(t, "IPv6", suite, reporter)
}
