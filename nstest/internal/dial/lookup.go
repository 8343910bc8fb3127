package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

const (
	// The server is in the host itself and answers at once; a datagram is lost only where its buffer was full.
	lookupAttempts = 3
	lookupWait     = time.Second // for the answers to one attempt
	lookupUDPSize  = 1232
)

var errNoNameserver = errors.New("the host has no name server")

// LookupNetIP returns the addresses of name, in the order of trying them; an address is its own name. It asks the
// host's DNS server for both families at once. Names are taken as complete: no search domain is appended and no file is
// read. An error is a *net.DNSError, with IsNotFound when the name does not exist or has no address.
func (d *Dialer) LookupNetIP(ctx context.Context, name string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	if isLocalhost(name) {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	fqdn := dns.Fqdn(name)
	if _, ok := dns.IsDomainName(fqdn); !ok || fqdn == "." {
		return nil, d.notFound(name)
	}
	if !d.Nameserver.IsValid() {
		return nil, d.dnsError(ctx, name, errNoNameserver)
	}
	answers, err := d.ask(ctx, newQuestion(fqdn, dns.TypeA), newQuestion(fqdn, dns.TypeAAAA))
	if err != nil {
		return nil, d.dnsError(ctx, name, err)
	}
	var addrs []netip.Addr
	var failed error
	for _, answer := range answers {
		if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
			failed = fmt.Errorf("server answers %s", dns.RcodeToString[answer.Rcode])
			continue
		}
		for _, rr := range answer.Answer {
			if addr, ok := address(rr); ok {
				addrs = append(addrs, addr)
			}
		}
	}
	switch {
	case len(addrs) > 0:
		return inOrder(addrs), nil
	case failed != nil:
		return nil, d.dnsError(ctx, name, failed)
	}
	return nil, d.notFound(name)
}

func newQuestion(fqdn string, qtype uint16) *dns.Msg {
	return new(dns.Msg).SetQuestion(fqdn, qtype).SetEdns0(lookupUDPSize, false)
}

func address(rr dns.RR) (addr netip.Addr, ok bool) {
	switch rr := rr.(type) {
	case *dns.A:
		addr, ok = netip.AddrFromSlice(rr.A)
		addr = addr.Unmap()
	case *dns.AAAA:
		addr, ok = netip.AddrFromSlice(rr.AAAA)
	}
	return addr, ok
}

// ask returns the answers to questions, in their order, over UDP and for those that do not fit over TCP.
func (d *Dialer) ask(ctx context.Context, questions ...*dns.Msg) ([]*dns.Msg, error) {
	answers := make([]*dns.Msg, len(questions))
	if err := d.exchange(ctx, network{"udp", unix.AF_UNSPEC, unix.SOCK_DGRAM}, lookupAttempts, questions, answers); err != nil {
		return nil, err
	}
	whole := true
	for i, answer := range answers {
		if answer.Truncated {
			answers[i], whole = nil, false
		}
	}
	if whole {
		return answers, nil
	}
	if err := d.exchange(ctx, network{"tcp", unix.AF_UNSPEC, unix.SOCK_STREAM}, 1, questions, answers); err != nil {
		return nil, err
	}
	return answers, nil
}

// exchange fills in the answers that are nil, over one connection on n.
func (d *Dialer) exchange(ctx context.Context, n network, attempts int, questions, answers []*dns.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, lookupAttempts*lookupWait)
	defer cancel()
	server := netip.AddrPortFrom(d.Nameserver.Addr().Unmap(), d.Nameserver.Port())
	conn, err := d.dialOne(ctx, n, endpoint{ip: server})
	if err != nil {
		return plain(ctx, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c := &dns.Conn{Conn: conn, UDPSize: lookupUDPSize}
	for attempt := 1; ; attempt++ {
		if err := conn.SetDeadline(time.Now().Add(lookupWait)); err != nil {
			return err
		}
		if ctx.Err() != nil { // it may have ended before the deadline was set anew
			return plain(ctx, ctx.Err())
		}
		err := attemptExchange(c, questions, answers)
		if err == nil {
			return nil
		}
		if attempt == attempts || ctx.Err() != nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return plain(ctx, err)
		}
	}
}

// attemptExchange sends the questions whose answers are nil and reads until none is or the connection's deadline.
func attemptExchange(c *dns.Conn, questions, answers []*dns.Msg) error {
	missing := 0
	for i, answer := range answers {
		if answer != nil {
			continue
		}
		if err := c.WriteMsg(questions[i]); err != nil {
			return err
		}
		missing++
	}
	for missing > 0 {
		msg, err := c.ReadMsg()
		var netErr net.Error
		switch {
		case errors.As(err, &netErr):
			return err
		case err != nil && msg == nil && !errors.Is(err, dns.ErrShortRead): // a stream that ended
			return err
		case err != nil: // not a DNS message
			continue
		}
		for i, q := range questions {
			if answers[i] == nil && msg.Response && msg.Id == q.Id && len(msg.Question) == 1 && msg.Question[0] == q.Question[0] {
				answers[i] = msg
				missing--
			}
		}
	}
	return nil
}
