package keeper

import (
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

func (e *environment) setDNS(p wire.DNSParams) error {
	return refuse(unix.ENOSYS, "this is still to be built")
}

func (e *environment) queries(p wire.QueriesParams) (wire.QueriesResult, error) {
	return wire.QueriesResult{}, refuse(unix.ENOSYS, "this is still to be built")
}
