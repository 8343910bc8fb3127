// Package names answers the names of an environment's hosts: one Zone an environment, one Server a host.
//
// It is hermetic: a name that the zone does not hold does not exist, and no query is forwarded, unless the environment is
// to have outbound access (Upstream). Beside the names of
// hosts a zone has the records that it is configured with, and the faults: those who test resolvers want to see them fail.
package names

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/miekg/dns"
)

const localhost = "localhost."

var (
	loopback = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

	loopbackReverse = []string{"1.0.0.127.in-addr.arpa.", "1." + strings.Repeat("0.", 31) + "ip6.arpa."}
)

// Zone maps the host names of one environment to their addresses. The zero value is an empty zone, ready for use, which
// knows localhost alone. Configure and Amend add records to it. A Zone is safe for concurrent use and must not be copied; every Server of the environment sees
// a change with its next query.
type Zone struct {
	mu      sync.RWMutex
	forward map[string][]netip.Addr // by canonical name, with the closing dot
	reverse map[string][]string     // canonical names by name below in-addr.arpa or ip6.arpa, sorted
	inner   map[string]int          // how many of these names are below a name
	config  *config                 // nil is none; does not change without change being held
	// upstream is asked for what the zone does not know; nil is nobody
	upstream *Upstream

	changes atomic.Uint64 // of the names of hosts

	change sync.Mutex // held while a config is made: one at a time, since that takes memory
	log    log
}

// Set gives name exactly these addresses, in this order, in place of those that it had. A name without addresses
// exists, and has no records. Names are case-insensitive and may end in a dot; a label is 1 to 63 letters, digits,
// hyphens and underscores. Addresses carry no zone; an IPv4-mapped address is its IPv4 address; one given twice counts
// once. On error the zone is as it was.
func (z *Zone) Set(name string, addrs []netip.Addr) error {
	key, err := canonical(name)
	if err != nil {
		return fmt.Errorf("set name %q: %w", name, err)
	}
	kept := make([]netip.Addr, 0, len(addrs))
	for _, addr := range addrs {
		addr = addr.Unmap()
		if !addr.IsValid() || addr.IsUnspecified() || addr.Zone() != "" {
			return fmt.Errorf("set name %q: address %v cannot stand in a zone", name, addr)
		}
		if !slices.Contains(kept, addr) {
			kept = append(kept, addr)
		}
	}

	z.mu.Lock()
	defer z.mu.Unlock()
	if z.forward == nil {
		z.forward = make(map[string][]netip.Addr)
		z.reverse = make(map[string][]string)
		z.inner = make(map[string]int)
	}
	z.changes.Add(1)
	z.remove(key)
	z.forward[key] = kept
	z.count(key, 1)
	for _, addr := range kept {
		r := reverseName(addr)
		at, _ := slices.BinarySearch(z.reverse[r], key)
		// A new slice: a query may still be reading the old one.
		if len(z.reverse[r]) == 0 {
			z.count(r, 1)
		}
		z.reverse[r] = slices.Concat(z.reverse[r][:at], []string{key}, z.reverse[r][at:])
	}
	return nil
}

// Ask has names that the zone does not know looked up elsewhere.
func (z *Zone) Ask(u *Upstream) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.upstream = u
}

// Addresses are those of a host; none if there is no such name.
func (z *Zone) Addresses(name string) []netip.Addr {
	z.mu.RLock()
	defer z.mu.RUnlock()
	return slices.Clone(z.forward[dns.CanonicalName(name)])
}

// Changes is a number that is another one after the names of hosts have changed.
func (z *Zone) Changes() uint64 { return z.changes.Load() }

// Names are the hosts' names, by their addresses.
func (z *Zone) Names() map[netip.Addr][]string {
	z.mu.RLock()
	defer z.mu.RUnlock()
	names := map[netip.Addr][]string{}
	for key, addrs := range z.forward {
		for _, a := range addrs {
			names[a] = append(names[a], strings.TrimSuffix(key, "."))
		}
	}
	return names
}

// Remove makes name unknown. Removing an unknown name does nothing.
func (z *Zone) Remove(name string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.changes.Add(1)
	z.remove(dns.CanonicalName(name))
}

func (z *Zone) remove(key string) {
	for _, addr := range z.forward[key] {
		r := reverseName(addr)
		left := make([]string, 0, len(z.reverse[r]))
		for _, name := range z.reverse[r] {
			if name != key {
				left = append(left, name)
			}
		}
		if len(left) == 0 {
			delete(z.reverse, r)
			z.count(r, -1)
		} else {
			z.reverse[r] = left
		}
	}
	if _, ok := z.forward[key]; ok {
		delete(z.forward, key)
		z.count(key, -1)
	}
}

// count tells the names above key that there are n more below.
func (z *Zone) count(key string, n int) {
	for parent := range ancestors(key) {
		if z.inner[parent] += n; z.inner[parent] == 0 {
			delete(z.inner, parent)
		}
	}
}

// addresses are those of the host, or the loopback, with a canonical name, in the order that they were set in, and whether
// there is such a name. The mutex is held.
func (z *Zone) addresses(key string) ([]netip.Addr, bool) {
	if isLocalhost(key) {
		return loopback, true
	}
	addrs, ok := z.forward[key]
	return addrs, ok
}

// names are those of the address that key, below in-addr.arpa or ip6.arpa, stands for. The mutex is held.
func (z *Zone) names(key string) []string {
	if slices.Contains(loopbackReverse, key) {
		return []string{localhost}
	}
	return z.reverse[key]
}

// isLocalhost reports whether the canonical name key is the loopback's (RFC 6761, section 6.3).
func isLocalhost(key string) bool { return key == localhost || strings.HasSuffix(key, "."+localhost) }

func reverseName(addr netip.Addr) string {
	name, err := dns.ReverseAddr(addr.String())
	if err != nil {
		panic(err) // addr is valid and has no zone
	}
	return name
}

func canonical(name string) (string, error) {
	key := dns.CanonicalName(name)
	switch {
	case name == "" || key == ".":
		return "", errors.New("empty name")
	case isLocalhost(key):
		return "", errors.New("localhost is always the loopback address")
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "", errors.New("an address is not a name")
	}
	labels := strings.Split(strings.TrimSuffix(key, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 {
			return "", fmt.Errorf("label %q does not have 1 to 63 characters", label)
		}
		if at := strings.IndexFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}); at >= 0 {
			return "", fmt.Errorf("label %q holds more than letters, digits, hyphens and underscores", label)
		}
	}
	if len(key) > 254 { // 255 octets on the wire, with the length of the first label
		return "", errors.New("name is longer than 253 characters")
	}
	return key, nil
}
