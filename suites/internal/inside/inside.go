// Package inside has environments run probes.
package inside

import (
	"context"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
)

// On runs a probe's command on a host, for nsx.RunBy: the probe has what the host gives its processes, and that is more
// than namespaces.
func On(ctx context.Context, host *nstest.Host) func(nsx.Command) error {
	return func(probe nsx.Command) error {
		c := host.CommandContext(ctx, probe.Path)
		c.Args, c.Env, c.ExtraFiles = probe.Args, probe.Env, probe.Files
		return c.Run()
	}
}
