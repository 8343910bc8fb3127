// Package firewall_test shows what the firewall of a host lets through, and what it does not.
package firewall_test

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

func TestFirewall(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	suite, reporter := GinkgoConfiguration()
	reporter.Verbose = reporter.Verbose || testing.Verbose()
	nstest.RunSpecs(t, "Firewall", suite, reporter)
}
