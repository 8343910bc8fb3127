package names

import (
	"testing"

	"github.com/miekg/dns"
)

// What a host sends is unpacked and answered in the keeper, whose end is the end of every environment.
func FuzzAnswer(f *testing.F) {
	var z Zone
	set(f, &z, "web", "10.0.0.1", "fd00::1")
	for _, q := range []*dns.Msg{
		question("web", dns.TypeA), question("1.0.0.10.in-addr.arpa", dns.TypePTR), question(".", dns.TypeANY),
		question("web", dns.TypeA).SetEdns0(1232, true), new(dns.Msg).SetNotify("web."), new(dns.Msg).SetUpdate("web."),
	} {
		b, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		req := new(dns.Msg)
		if req.Unpack(b) != nil {
			return
		}
		resp := z.answer(req)
		resp.Truncate(dns.MinMsgSize)
		if packed, err := resp.Pack(); err != nil || len(packed) > dns.MinMsgSize {
			t.Errorf("answer to %v: %d octets, %v", req, len(packed), err)
		}
	})
}
