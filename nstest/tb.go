package nstest

// TB is what nstest needs of a test: *testing.T, *testing.B, *testing.F and ginkgo.GinkgoTB() have it.
type TB interface {
	Helper()
	Name() string
	Cleanup(func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}
