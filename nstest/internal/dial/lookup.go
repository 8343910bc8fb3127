package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

const (
	// As resolv.conf says. The server is in the host itself and answers at once, unless it is told not to; otherwise a
	// datagram is lost only where its buffer was full.
	lookupAttempts = 2
	lookupWait     = time.Second // for the answers to one attempt
	lookupUDPSize  = 1232
)

var errNoNameserver = errors.New("the host has no name server")

// LookupNetIP returns the addresses of name, in the order of trying them; an address is its own name. It asks the
// host's DNS server for both families at once; the addresses of one are enough where the server does not answer, or fails,
// for the other. Names are taken as complete: no search domain is appended and no file is read. An error is a *net.DNSError, with IsNotFound when the name does not exist or has no address.
func (d *Dialer) LookupNetIP(ctx context.Context, name string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	if isLocalhost(name) {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	fqdn := dns.Fqdn(name)
	if _, ok := dns.IsDomainName(fqdn); !ok || fqdn == "." || strings.ContainsFunc(fqdn, notInNames) {
		return nil, d.notFound(name)
	}
	if !d.Nameserver.IsValid() {
		return nil, d.dnsError(ctx, name, errNoNameserver)
	}
	answers, failed := d.ask(ctx, newQuestion(fqdn, dns.TypeA), newQuestion(fqdn, dns.TypeAAAA))
	if failed != nil && ctx.Err() != nil {
		return nil, d.dnsError(ctx, name, failed)
	}
	var addrs []netip.Addr
	for _, answer := range answers {
		if answer == nil {
			continue
		}
		if fails(answer) {
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

// notInNames reports whether no name of a host has this character. Package net does not ask for such a name either, and an
// answer would have it in another spelling: with a backslash.
func notInNames(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
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

// fails reports whether an answer says nothing about the name.
func fails(answer *dns.Msg) bool {
	return answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError
}

// ask returns the answers to questions, in their order: nil where there is none, and the error says why. It asks again
// where the server fails, as the resolvers of libc and Go do.
func (d *Dialer) ask(ctx context.Context, questions ...*dns.Msg) ([]*dns.Msg, error) {
	answers := make([]*dns.Msg, len(questions))
	for attempt := 1; ; attempt++ {
		err := d.askOnce(ctx, questions, answers)
		if err != nil || attempt == lookupAttempts || !slices.ContainsFunc(answers, fails) {
			return answers, err
		}
		for i, answer := range answers {
			if fails(answer) {
				answers[i] = nil
			}
		}
	}
}

// askOnce fills in the answers that are nil, over UDP and for those that do not fit over TCP.
func (d *Dialer) askOnce(ctx context.Context, questions, answers []*dns.Msg) error {
	err := d.exchange(ctx, network{"udp", unix.AF_UNSPEC, unix.SOCK_DGRAM}, lookupAttempts, questions, answers)
	cut := false
	for i, answer := range answers {
		if answer != nil && answer.Truncated {
			answers[i], cut = nil, true
		}
	}
	if err != nil || !cut {
		return err
	}
	return d.exchange(ctx, network{"tcp", unix.AF_UNSPEC, unix.SOCK_STREAM}, 1, questions, answers)
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
