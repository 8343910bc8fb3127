package keeper

import (
	"context"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

func (e *environment) addRouter(ctx context.Context, p wire.RouterParams) (wire.HostResult, error) {
	return wire.HostResult{}, refuse(unix.ENOSYS, "this is still to be built")
}

func (e *environment) setRoute(p wire.RouteParams) error {
	return refuse(unix.ENOSYS, "this is still to be built")
}

func (e *environment) setRule(p wire.RuleParams) error {
	return refuse(unix.ENOSYS, "this is still to be built")
}
