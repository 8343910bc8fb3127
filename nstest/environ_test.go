package nstest_test

import "os"

// The tests of bundles begin bundles of environments of which nobody else has begun one.
func init() {
	for _, name := range []string{"NSTEST_KEEP", "NSTEST_UI"} {
		_ = os.Unsetenv(name) // which fails for no such name
	}
}
