package names

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// answer is the response to what a host asks, complete, and how late it is to be; nil is no response. Nobody else
// is asked any more once ctx has ended.
// It is authoritative and offers recursion, without which resolvers take an answer of no records for a lame server's. What
// was not configured otherwise has no SOA record and a TTL of 0: it may not be cached, a host can come or go at any time.
func (z *Zone) answer(ctx context.Context, host string, udp bool, req *dns.Msg) (*dns.Msg, time.Duration) {
	resp := new(dns.Msg)
	resp.SetReply(req)
	resp.Authoritative, resp.RecursionAvailable, resp.Compress = true, true, true
	opt := req.IsEdns0()
	if opt != nil {
		resp.SetEdns0(maxUDPSize, false)
	}
	switch {
	case opt != nil && opt.Version() != 0:
		resp.Rcode = dns.RcodeBadVers
		return resp, 0
	case req.Opcode != dns.OpcodeQuery:
		resp.Rcode = dns.RcodeNotImplemented
		return resp, 0
	case len(req.Question) != 1:
		resp.Rcode = dns.RcodeFormatError
		return resp, 0
	}

	transport := "tcp"
	if udp {
		transport = "udp"
	}
	began, q := time.Now(), req.Question[0]
	resp, delay, faulty, upstream := z.consult(host, udp, req, resp)
	if upstream != nil && !faulty && resp.Rcode == dns.RcodeNameError && len(resp.Answer)+len(resp.Ns) == 0 {
		resp = upstream.ask(ctx, req, transport)
	}
	z.log.add(host, transport, q, resp, faulty, time.Since(began)+delay)
	return resp, delay
}

// consult completes resp from what the zone holds, and spoils it as the faults say. It also returns whom to ask where the
// zone knows nothing.
func (z *Zone) consult(host string, udp bool, req, resp *dns.Msg) (_ *dns.Msg, delay time.Duration, faulty bool, _ *Upstream) {
	z.mu.RLock()
	defer z.mu.RUnlock()
	c, q := z.current(), req.Question[0]
	if (q.Qclass == dns.ClassINET || q.Qclass == dns.ClassANY) && q.Qtype != dns.TypeAXFR && q.Qtype != dns.TypeIXFR {
		v := c.view(z, host)
		if opt := req.IsEdns0(); req.CheckingDisabled && opt != nil && opt.Do() {
			v.dns64 = prefix64{} // RFC 6147, section 5.5: who validates does so with what there is
		}
		v.respond(q, resp)
	} else {
		resp.Rcode = dns.RcodeRefused
	}
	asker, key := strings.ToLower(host), dns.CanonicalName(q.Name)
	at := slices.IndexFunc(c.faults, func(f *fault) bool { return f.strikes(asker, key, q.Qtype, udp) })
	if at >= 0 {
		resp, delay = c.faults[at].spoil(resp), c.faults[at].delay
	}
	return resp, delay, at >= 0, z.upstream
}

// respond puts the answer to q into resp.
func (v *view) respond(q dns.Question, resp *dns.Msg) {
	out := v.resolve(q.Name, q.Qtype)
	resp.Rcode, resp.Answer = out.rcode, out.answer
	answered := len(out.answer) > 0 && out.answer[len(out.answer)-1].Header().Rrtype != dns.TypeCNAME || q.Qtype == dns.TypeCNAME && len(out.answer) > 0
	if !answered && out.rcode != dns.RcodeServerFailure {
		resp.Ns = v.authority(out.last)
	}
	resp.Extra = append(v.additional(out.answer), resp.Extra...)
}

// fit makes resp no longer than size: without what was not asked for, and with the mark of one that was cut where that is
// not enough.
func fit(resp *dns.Msg, size int) {
	if resp.Len() > size {
		resp.Extra = slices.DeleteFunc(resp.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype != dns.TypeOPT })
	}
	resp.Truncate(size)
}
