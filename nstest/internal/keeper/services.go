package keeper

import (
	"errors"
	"slices"
)

// services are what the keeper does for a router itself. They are guarded by the host's mutex.
type services struct {
	advertisers []*advertiser
	nat64, npt  *translator // nil = none
	gone        bool        // the host is closed, and gets no more of them
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
