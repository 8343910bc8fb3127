package names

import (
	"reflect"
	"slices"

	"github.com/miekg/dns"
)

const (
	// maxAliases is how many aliases are followed. A chain that is longer is a loop, or as good as one.
	maxAliases = 16
	// maxAdditional is how many records are added that were not asked for.
	maxAdditional = 64
)

// A view is what the zone looks like to one host at one instant: the mutex of the zone is held while it is in use.
type view struct {
	zone   *Zone
	layers []*records // the first one that has a name is the one that counts
	dns64  prefix64
}

// at are the records of exactly this canonical name, and whether there is such a name. The addresses of a host are among
// them unless they say otherwise.
func (v *view) at(key string) (node []dns.RR, exists bool) {
	for _, layer := range v.layers {
		if node = layer.nodes[key]; len(node) > 0 {
			break
		}
		exists = exists || layer.inner[key]
	}
	node = slices.Clip(node)
	addrs, isHost := v.zone.addresses(key)
	if len(addrs) == 0 && key == discovery && v.dns64.IsValid() {
		addrs = discovered
	}
	if len(addrs) > 0 && len(ofType(node, dns.TypeA, dns.TypeAAAA, dns.TypeCNAME)) == 0 {
		for _, a := range addrs {
			if a.Is4() {
				node = append(node, &dns.A{Hdr: head(key, dns.TypeA), A: a.AsSlice()})
			} else {
				node = append(node, &dns.AAAA{Hdr: head(key, dns.TypeAAAA), AAAA: a.AsSlice()})
			}
		}
	}
	if len(ofType(node, dns.TypePTR, dns.TypeCNAME)) == 0 {
		for _, name := range v.zone.names(key) {
			node = append(node, &dns.PTR{Hdr: head(key, dns.TypePTR), Ptr: name})
		}
	}
	if a, ok := address6(key); ok && len(node) == 0 {
		if v4, ok := v.dns64.extract(a); ok { // RFC 6147, section 5.3.1
			node = append(node, &dns.CNAME{Hdr: head(key, dns.TypeCNAME), Target: reverseName(v4)})
		}
	}
	return node, exists || isHost || len(node) > 0 || v.zone.inner[key] > 0
}

// head is the header of a record of the server's own making. Its TTL is 0: a host can come or go at any time.
func head(name string, t uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: t, Class: dns.ClassINET}
}

// find are the records of a canonical name, which a wildcard may have (RFC 4592), and whether there is such a name.
func (v *view) find(key string) ([]dns.RR, bool) {
	node, exists := v.at(key)
	if exists {
		return node, true
	}
	for parent := range ancestors(key) {
		if _, encloses := v.at(parent); !encloses && parent != "." {
			continue
		}
		wildcard := "*." + parent
		if parent == "." {
			wildcard = "*."
		}
		return v.at(wildcard)
	}
	return nil, false
}

// An outcome is the answer to a question.
type outcome struct {
	rcode  int
	answer []dns.RR
	last   string // the name that the question has led to
}

// resolve follows name through its aliases to the records of a type.
func (v *view) resolve(name string, qtype uint16) outcome {
	out := outcome{last: name}
	for range maxAliases {
		node, exists := v.find(dns.CanonicalName(out.last))
		if !exists {
			out.rcode = dns.RcodeNameError
			return out
		}
		found, alias := ofType(node, qtype), ofType(node, dns.TypeCNAME)
		switch {
		case qtype == dns.TypeANY: // RFC 8482, section 4.2
			found = []dns.RR{&dns.HINFO{Hdr: head(out.last, dns.TypeHINFO), Cpu: "RFC8482"}}
		case len(found) == 0 && len(alias) > 0:
			out.answer = append(out.answer, owned(alias, out.last)...)
			out.last = alias[0].(*dns.CNAME).Target
			continue
		case len(found) == 0 && qtype == dns.TypeAAAA && v.dns64.IsValid():
			found = v.dns64.aaaa(ofType(node, dns.TypeA))
		}
		out.answer = append(out.answer, owned(found, out.last)...)
		return out
	}
	return outcome{rcode: dns.RcodeServerFailure, last: name}
}

// owned are records as those of name: as the question spells it, in the place of a wildcard. Their data is not copied,
// which would let a host that asks often enough fill the keeper's memory.
func owned(node []dns.RR, name string) []dns.RR {
	out := make([]dns.RR, len(node))
	for i, rr := range node {
		shallow := reflect.New(reflect.TypeOf(rr).Elem())
		shallow.Elem().Set(reflect.ValueOf(rr).Elem())
		out[i] = shallow.Interface().(dns.RR)
		out[i].Header().Name = name
	}
	return out
}

// authority is the SOA record of the zone that a name without such records is in, by which resolvers know for how long
// there will be none (RFC 2308, section 5). Where nobody has made a zone it is empty, and nothing may be remembered.
func (v *view) authority(name string) []dns.RR {
	key := dns.CanonicalName(name)
	above := func(yield func(string) bool) {
		if yield(key) {
			ancestors(key)(yield)
		}
	}
	for zone := range above {
		node, _ := v.at(zone)
		if found := ofType(node, dns.TypeSOA); len(found) > 0 {
			soa := dns.Copy(found[0]).(*dns.SOA)
			soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
			return []dns.RR{soa}
		}
	}
	return nil
}

// additional are the addresses of the names that the records in answer lead to, which saves the client a question.
func (v *view) additional(answer []dns.RR) []dns.RR {
	var out []dns.RR
	seen := map[string]bool{}
	for _, rr := range answer {
		var target string
		switch rr := rr.(type) {
		case *dns.SRV:
			target = rr.Target
		case *dns.MX:
			target = rr.Mx
		case *dns.NS:
			target = rr.Ns
		default:
			continue
		}
		key := dns.CanonicalName(target)
		if seen[key] {
			continue
		}
		seen[key] = true
		node, _ := v.find(key)
		extra := ofType(node, dns.TypeA, dns.TypeAAAA)
		if len(out)+len(extra) > maxAdditional {
			break
		}
		out = append(out, owned(extra, target)...)
	}
	return out
}
