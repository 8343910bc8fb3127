package names

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

const (
	maxFaults = 256
	// maxDelay is longer than any resolver waits. It bounds for how long a host can make the keeper remember a query.
	maxDelay = time.Minute
)

// rcodes are the answers of faults that are a code and nothing else.
var rcodes = map[string]int{"nxdomain": dns.RcodeNameError, "servfail": dns.RcodeServerFailure, "refused": dns.RcodeRefused}

// fault is a wire.DNSFault that was checked.
type fault struct {
	name   string          // canonical; "" is every name
	below  bool            // name stands for every name below it
	qtype  uint16          // TypeNone is every type
	hosts  map[string]bool // in lower case; nil is every host
	answer string
	delay  time.Duration
	left   *atomic.Int64 // queries until it is over; nil = never
}

func newFault(f wire.DNSFault) (*fault, error) {
	out := &fault{answer: f.Answer, delay: f.Delay}
	if _, known := rcodes[f.Answer]; !known && !slices.Contains([]string{"", "truncated", "lost"}, f.Answer) {
		return nil, fmt.Errorf("there is no answer %q", f.Answer)
	}
	switch {
	case f.Delay < 0 || f.Delay > maxDelay:
		return nil, fmt.Errorf("a delay of %v is not between 0 and %v", f.Delay, maxDelay)
	case f.Delay > 0 && f.Answer == "lost":
		return nil, errors.New("an answer that is lost cannot be late as well")
	case f.Times < 0:
		return nil, fmt.Errorf("it cannot happen %d times", f.Times)
	case f.Times > 0:
		out.left = new(atomic.Int64)
		out.left.Store(int64(f.Times))
	}
	if f.Name != "" {
		name, below := strings.CutPrefix(f.Name, "*.")
		if _, ok := dns.IsDomainName(name); !ok || name == "" {
			return nil, fmt.Errorf("%q is not a name", f.Name)
		}
		out.name, out.below = dns.CanonicalName(name), below
	}
	if f.Type != "" {
		var known bool
		if out.qtype, known = dns.StringToType[strings.ToUpper(f.Type)]; !known || out.qtype == dns.TypeNone {
			return nil, fmt.Errorf("there is no type of records %q", f.Type)
		}
	}
	for _, h := range f.Hosts {
		if out.hosts == nil {
			out.hosts = map[string]bool{}
		}
		out.hosts[strings.ToLower(h)] = true
	}
	return out, nil
}

// strikes reports whether the fault has a part in the answer to a host's question for a canonical name, and counts it.
func (f *fault) strikes(host, key string, qtype uint16, udp bool) bool {
	switch {
	case f.name != "" && !f.below && key != f.name:
		return false
	case f.below && (key == f.name || !dns.IsSubDomain(f.name, key)):
		return false
	case f.qtype != dns.TypeNone && f.qtype != qtype:
		return false
	case f.hosts != nil && !f.hosts[host]:
		return false
	case f.answer == "truncated" && !udp: // the whole answer, which it makes the client ask for
		return false
	}
	return f.left == nil || f.left.Add(-1) >= 0
}

// spoil makes of the true answer what the client gets: nil if nothing.
func (f *fault) spoil(resp *dns.Msg) *dns.Msg {
	rcode, wrong := rcodes[f.answer]
	switch {
	case f.answer == "lost":
		return nil
	case f.answer == "":
		return resp
	case wrong:
		resp.Rcode = rcode
	default:
		resp.Rcode, resp.Truncated = dns.RcodeSuccess, true
	}
	resp.Answer, resp.Ns, resp.Extra = nil, nil, slices.DeleteFunc(resp.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype != dns.TypeOPT })
	return resp
}
