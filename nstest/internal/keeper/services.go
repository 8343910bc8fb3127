package keeper

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// services are what the keeper does for a router itself. They are guarded by the host's mutex.
type services struct {
	advertisers []*advertiser
	nat64, npt  *translator // nil = none
	gone        bool        // the host is closed, and gets no more of them
}

// take takes a translator away from the host, if there is one.
func (h *host) take(place **translator) *translator {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := *place
	*place = nil
	return old
}

// keep has the host end a translator with the others, unless the host has ended already.
func (h *host) keep(place **translator, x *translator) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone {
		return refuse(unix.ESHUTDOWN, "host %q is being removed", h.name)
	}
	*place = x
	return nil
}

// end ends the services. What they have made in the host ends with it.
func (h *host) end() error {
	h.mu.Lock()
	old := h.services
	h.services = services{gone: true}
	h.mu.Unlock()
	var errs []error
	for _, a := range old.advertisers {
		errs = append(errs, a.close())
	}
	for _, t := range slices.DeleteFunc([]*translator{old.nat64, old.npt}, func(t *translator) bool { return t == nil }) {
		errs = append(errs, t.close())
	}
	return errors.Join(errs...)
}
