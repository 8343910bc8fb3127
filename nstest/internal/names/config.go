package names

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// config is what a zone answers besides the names of hosts. It does not change: another one takes its place.
type config struct {
	all    *records
	list   []dns.RR            // that all is made of
	views  map[string]*records // by host, in lower case; for the names that it has, in the place of all
	viewed room                // what the views take up
	faults []*fault
	dns64  prefix64
}

// none is the config of a new zone.
var none = &config{all: &records{}}

// Records are those that the zone answers everybody with besides the names of hosts, in the format of RFC 1035, section 5, if
// there are no more than most.
func (z *Zone) Records(most int) (out []string, ok bool) {
	z.mu.RLock()
	list := z.current().list
	z.mu.RUnlock()
	if len(list) > most {
		return nil, false
	}
	for _, rr := range list {
		out = append(out, rr.String())
	}
	return out, true
}

// Configure replaces, at one instant, what the zone answers besides the names of hosts, and begins to count the faults
// anew. That the hosts exist is up to the caller. On error, which names what is wrong, the zone is as it was.
func (z *Zone) Configure(p wire.DNS) error {
	z.change.Lock()
	defer z.change.Unlock()
	c := &config{}
	left := newRoom()
	if err := c.addViews(p.Views, left); err != nil {
		return err
	}
	if err := c.addFaults(p.Faults); err != nil {
		return err
	}
	var err error
	if c.dns64, err = newPrefix64(p.DNS64); err != nil {
		return err
	}
	if c.list, err = parse(p.Records, left); err != nil {
		return err
	}
	if c.all, err = arrange(c.list); err != nil {
		return err
	}
	z.put(c)
	return nil
}

func (c *config) addViews(views []wire.DNSView, left *room) error {
	c.views = map[string]*records{}
	for i, v := range views {
		list, err := parse(v.Records, left)
		if err != nil {
			return fmt.Errorf("view %d: %w", i+1, err)
		}
		view, err := arrange(list)
		if err != nil {
			return fmt.Errorf("view %d: %w", i+1, err)
		}
		if len(v.Hosts) == 0 {
			return fmt.Errorf("view %d: no host has it", i+1)
		}
		for _, h := range v.Hosts {
			key := strings.ToLower(h)
			if c.views[key] != nil {
				return fmt.Errorf("view %d: host %q has one already", i+1, h)
			}
			c.views[key] = view
		}
	}
	c.viewed = room{records: maxRecords - left.records, octets: maxOctets - left.octets}
	return nil
}

func (c *config) addFaults(faults []wire.DNSFault) error {
	if len(faults) > maxFaults {
		return fmt.Errorf("there are %d faults, more than %d", len(faults), maxFaults)
	}
	for i, f := range faults {
		fault, err := newFault(f)
		if err != nil {
			return fmt.Errorf("fault %d: %w", i+1, err)
		}
		c.faults = append(c.faults, fault)
	}
	return nil
}

// Amend changes everybody's records at one instant: names, of which each must have some, lose theirs, and those that
// have some among texts have no others. On error, which names what is wrong, the zone is as it was.
func (z *Zone) Amend(texts, names []string) error {
	z.change.Lock()
	defer z.change.Unlock()
	fresh, err := parse(texts, newRoom())
	if err != nil {
		return err
	}
	gone := map[string]bool{}
	for _, rr := range fresh {
		gone[dns.CanonicalName(rr.Header().Name)] = true
	}
	c := *z.current()
	for _, name := range names {
		key := dns.CanonicalName(name)
		if len(c.all.nodes[key]) == 0 {
			return fmt.Errorf("there is no record of %q", excerpt(name))
		}
		gone[key] = true
	}
	kept := slices.DeleteFunc(slices.Clone(c.list), func(rr dns.RR) bool { return gone[dns.CanonicalName(rr.Header().Name)] })
	c.list = slices.Concat(kept, fresh)
	left := room{records: maxRecords - c.viewed.records, octets: maxOctets - c.viewed.octets}
	for _, rr := range c.list {
		if err := left.take(dns.Len(rr)); err != nil {
			return err
		}
	}
	if c.all, err = arrange(c.list); err != nil {
		return err
	}
	z.put(&c)
	return nil
}

func (z *Zone) put(c *config) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.config = c
}

// current is the config in force. One of the mutexes is held.
func (z *Zone) current() *config {
	if z.config == nil {
		return none
	}
	return z.config
}

// view is what a host sees of the zone.
func (c *config) view(z *Zone, host string) *view {
	v := &view{zone: z, layers: []*records{c.all}, dns64: c.dns64}
	if own := c.views[strings.ToLower(host)]; own != nil {
		v.layers = []*records{own, c.all}
	}
	return v
}
