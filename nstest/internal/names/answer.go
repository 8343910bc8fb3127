package names

import (
	"github.com/miekg/dns"
)

// answer is the response to req, complete and never forwarded. It is authoritative and offers recursion, without which
// resolvers take an answer of no records for a lame server's. It has no SOA record and every TTL is 0: nothing of it may
// be cached, a host can come or go at any time.
func (z *Zone) answer(req *dns.Msg) *dns.Msg {
	resp := new(dns.Msg)
	resp.SetReply(req)
	resp.Authoritative, resp.RecursionAvailable, resp.Compress = true, true, true
	if opt := req.IsEdns0(); opt != nil {
		resp.SetEdns0(maxUDPSize, false)
		if opt.Version() != 0 {
			resp.Rcode = dns.RcodeBadVers
			return resp
		}
	}
	if req.Opcode != dns.OpcodeQuery {
		resp.Rcode = dns.RcodeNotImplemented
		return resp
	}
	if len(req.Question) != 1 {
		resp.Rcode = dns.RcodeFormatError
		return resp
	}
	q := req.Question[0]
	if (q.Qclass != dns.ClassINET && q.Qclass != dns.ClassANY) || q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR {
		resp.Rcode = dns.RcodeRefused
		return resp
	}

	addrs, exists := z.Lookup(q.Name)
	names := z.lookupReverse(q.Name)
	if !exists && len(names) == 0 {
		resp.Rcode = dns.RcodeNameError
		return resp
	}
	head := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET}
	switch q.Qtype {
	case dns.TypeA:
		for _, addr := range addrs {
			if addr.Is4() {
				resp.Answer = append(resp.Answer, &dns.A{Hdr: head, A: addr.AsSlice()})
			}
		}
	case dns.TypeAAAA:
		for _, addr := range addrs {
			if addr.Is6() {
				resp.Answer = append(resp.Answer, &dns.AAAA{Hdr: head, AAAA: addr.AsSlice()})
			}
		}
	case dns.TypePTR:
		for _, name := range names {
			resp.Answer = append(resp.Answer, &dns.PTR{Hdr: head, Ptr: name})
		}
	case dns.TypeANY: // RFC 8482, section 4.2
		head.Rrtype = dns.TypeHINFO
		resp.Answer = []dns.RR{&dns.HINFO{Hdr: head, Cpu: "RFC8482"}}
	}
	return resp
}
