package keeper

import (
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// setDNS replaces what the name server answers besides the names of hosts. What is for a host holds for it also when it
// was removed and is back.
func (e *environment) setDNS(p wire.DNSParams) error {
	for i, v := range p.DNS.Views {
		if err := e.known(v.Hosts); err != nil {
			return refuse(unix.ENOENT, "view %d: %v", i+1, err)
		}
	}
	for i, f := range p.DNS.Faults {
		if err := e.known(f.Hosts); err != nil {
			return refuse(unix.ENOENT, "fault %d: %v", i+1, err)
		}
	}
	if err := e.zone.Configure(p.DNS); err != nil {
		return refuse(unix.EINVAL, "%v", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inForce.dns, e.inForce.dnsSince = p.DNS.Faults, time.Now()
	return nil
}

// known refuses names that no host has.
func (e *environment) known(hosts []string) error {
	for _, name := range hosts {
		if _, err := e.host(name); err != nil {
			return err
		}
	}
	return nil
}

func (e *environment) amendDNS(p wire.RecordsParams) error {
	if err := e.zone.Amend(p.Records, p.Remove); err != nil {
		return refuse(unix.EINVAL, "%v", err)
	}
	return nil
}
