// Package smoke_test holds the contract of package nstest from a user's point of view, a file for each subject. What an
// environment hides is looked for where it is visible as well, so that a probe that sees nothing anywhere is found out.
package smoke_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// TestMain lets the suite's own program be what runs in the hosts: see probe_test.go.
func TestMain(m *testing.M) {
	if name := os.Getenv(probeVariable); name != "" {
		os.Exit(runProbe(name, os.Args[1:]))
	}
	os.Exit(m.Run())
}

func TestSmoke(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	suite, reporter := GinkgoConfiguration()
	reporter.Verbose = reporter.Verbose || testing.Verbose()
	RunSpecs(t, "Smoke", suite, reporter)
}

var _ = BeforeSuite(func() { leaks.Check(GinkgoTB()) })

// open is Open for specs that want an environment whose methods return errors instead of failing the spec.
func open(cfg nstest.Config) *nstest.Env {
	GinkgoHelper()
	env, err := nstest.Open(context.Background(), cfg)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(env.Close)
	return env
}

// fresh is an environment for the running spec.
func fresh() *nstest.Env {
	GinkgoHelper()
	return nstest.New(GinkgoTB(), nstest.Config{})
}

// isRoot reports whether the suite runs as root, be it the machine's or that of an environment.
func isRoot() bool { return os.Geteuid() == 0 }
