package keeper

import "github.com/hermetic-go/nstest/nstest/internal/wire"

// topology is the environment as a drawing shows it.
func (e *environment) topology() wire.TopologyResult { return wire.TopologyResult{} }
