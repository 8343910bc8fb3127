package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

func TestLookupNetIP(t *testing.T) {
	noLeaks(t)
	var many []string
	for i := range 200 { // too many for a datagram
		many = append(many, netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}).String())
	}
	m := &machine{}
	d := host(t, m, map[string]string{
		"web":    "10.0.0.2 10.0.0.1 fd00::1 2001:db8::1", // unique local after IPv4, global before
		"v6":     "fd00::2",
		"many":   strings.Join(many, " "),
		"silent": "",
	})
	for name, want := range map[string]string{
		"web": "2001:db8::1 10.0.0.2 10.0.0.1 fd00::1", "WEB.": "2001:db8::1 10.0.0.2 10.0.0.1 fd00::1", "v6": "fd00::2",
		"many": strings.Join(many, " "), "localhost": "127.0.0.1 ::1", "a.localhost.": "127.0.0.1 ::1",
		"10.0.0.9": "10.0.0.9", "::ffff:10.0.0.9": "10.0.0.9", "fe80::1%eth0": "fe80::1%eth0",
	} {
		got, err := d.LookupNetIP(t.Context(), name)
		if err != nil || strings.Trim(fmt.Sprint(got), "[]") != want {
			t.Errorf("%s: %v, %v; want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"unknown", "silent", "", ".", "a..b", "a b", `a\.b`, "(web)", "wéb", "web\n", strings.Repeat("a", 64)} {
		got, err := d.LookupNetIP(t.Context(), name)
		var dnsErr *net.DNSError
		if !errors.As(err, &dnsErr) || !dnsErr.IsNotFound || dnsErr.Name != name {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	tcp := m.families()
	if !slices.Equal(tcp, []int{unix.AF_INET}) { // for "many" alone
		t.Errorf("TCP sockets: %v", tcp)
	}
}

// server answers each datagram, and the connections that it accepts, as reply says: nil is no answer.
func server(t *testing.T, reply func(q *dns.Msg) []byte) netip.AddrPort {
	t.Helper()
	p, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = p.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if err := q.Unpack(b[:n]); err != nil {
				t.Error(err)
			}
			if answer := reply(q); answer != nil {
				if _, err := p.WriteTo(answer, from); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	return p.LocalAddr().(*net.UDPAddr).AddrPort()
}

func packed(t *testing.T, m *dns.Msg) []byte {
	b, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return b
}

func TestLookupAsksAgain(t *testing.T) {
	noLeaks(t)
	var queries atomic.Int32 // two an attempt
	d := &Dialer{Sockets: &machine{}, Nameserver: server(t, func(q *dns.Msg) []byte {
		switch queries.Add(1) {
		case 1: // somebody else's
			other := q.Copy()
			other.Id++
			return packed(t, new(dns.Msg).SetReply(other))
		case 2:
			return []byte("not a message")
		}
		resp := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			resp.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(10, 0, 0, 1)}}
		}
		return packed(t, resp)
	})}
	got, err := d.LookupNetIP(t.Context(), "web")
	if err != nil || !slices.Equal(got, []netip.Addr{netip.MustParseAddr("10.0.0.1")}) {
		t.Errorf("%v, %v after %d queries", got, err, queries.Load())
	}
}

// A server that fails is asked again, for what it has failed to answer alone.
func TestLookupAsksAgainWhereTheServerFails(t *testing.T) {
	noLeaks(t)
	var queries [2]atomic.Int32 // for A, for AAAA
	var failures atomic.Int32
	d := &Dialer{Sockets: &machine{}, Nameserver: server(t, func(q *dns.Msg) []byte {
		resp := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeAAAA {
			if queries[1].Add(1) <= failures.Load() {
				resp.Rcode = dns.RcodeServerFailure
			}
			return packed(t, resp)
		}
		queries[0].Add(1)
		resp.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(10, 0, 0, 1)}}
		return packed(t, resp)
	})}
	want := []netip.Addr{netip.MustParseAddr("10.0.0.1")}
	for _, c := range []struct{ failures, a, aaaa int32 }{{1, 1, 2}, {100, 1, lookupAttempts}} {
		failures.Store(c.failures)
		queries[0].Store(0)
		queries[1].Store(0)
		got, err := d.LookupNetIP(t.Context(), "web")
		if err != nil || !slices.Equal(got, want) || queries[0].Load() != c.a || queries[1].Load() != c.aaaa {
			t.Errorf("%d failures: %v, %v after %d and %d queries", c.failures, got, err, queries[0].Load(), queries[1].Load())
		}
	}
}

func TestLookupFails(t *testing.T) {
	noLeaks(t)
	silent := server(t, func(*dns.Msg) []byte { return nil })
	p, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := p.LocalAddr().(*net.UDPAddr).AddrPort()
	_ = p.Close()
	refusing := func(context.Context, wire.SocketParams) error { return fmt.Errorf("host is gone: %w", syscall.EPIPE) }
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		d       *Dialer
		ctx     context.Context
		is      error
		timeout bool
	}{
		"silent server":    {&Dialer{Sockets: &machine{}, Nameserver: silent}, soon(), context.DeadlineExceeded, true},
		"cancelled":        {&Dialer{Sockets: &machine{}, Nameserver: silent}, canceled, context.Canceled, false},
		"no server":        {&Dialer{Sockets: &machine{}, Nameserver: nobody}, t.Context(), syscall.ECONNREFUSED, false},
		"no address of it": {&Dialer{Sockets: &machine{}}, t.Context(), errNoNameserver, false},
		"no socket":        {&Dialer{Sockets: &machine{before: refusing}, Nameserver: nobody}, t.Context(), syscall.EPIPE, false},
		"server fails": {&Dialer{Sockets: &machine{}, Nameserver: server(t, func(q *dns.Msg) []byte {
			return packed(t, new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
		})}, t.Context(), nil, false},
		"TCP refused": {&Dialer{Sockets: &machine{}, Nameserver: server(t, func(q *dns.Msg) []byte {
			resp := new(dns.Msg).SetReply(q)
			resp.Truncated = true
			return packed(t, resp)
		})}, t.Context(), syscall.ECONNREFUSED, false},
	} {
		got, err := c.d.LookupNetIP(c.ctx, "web")
		var dnsErr *net.DNSError
		if !errors.As(err, &dnsErr) || dnsErr.IsNotFound || dnsErr.IsTimeout != c.timeout || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		_, err = c.d.DialContext(c.ctx, "tcp", "web:80")
		var op *net.OpError
		if !errors.As(err, &op) || !errors.As(err, &dnsErr) || op.Timeout() != c.timeout {
			t.Errorf("%s, dial: %v", name, err)
		}
		_, err = c.d.Listen(c.ctx, "tcp", "web:80")
		if !errors.As(err, &op) || !errors.As(err, &dnsErr) {
			t.Errorf("%s, listen: %v", name, err)
		}
	}
}
