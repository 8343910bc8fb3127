package names

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// What is remembered of queries, for one environment: all of it fits into one frame.
const (
	maxQueries = 1024
	maxAnswers = 16  // of one query
	maxAnswer  = 256 // octets of one answer
)

// A log is the last queries. The zero value has none.
type log struct {
	mu      sync.Mutex
	queries []wire.Query
	next    int // where the next one goes, once there are maxQueries
	watch   func(Asked)
}

// Asked is a query as those see it who watch.
type Asked struct {
	wire.Query
	Addrs []netip.Addr  // of the answer
	Took  time.Duration // until it was answered; 0 where it was not
}

// Watch has see called with each query from now on, by the goroutine that answers it. It must be quick. nil ends that.
func (z *Zone) Watch(see func(Asked)) {
	z.log.mu.Lock()
	defer z.log.mu.Unlock()
	z.log.watch = see
}

// add remembers that host has asked, and got resp, nil for nothing, after some time.
func (l *log) add(host, transport string, q dns.Question, resp *dns.Msg, faulty bool, took time.Duration) {
	entry := wire.Query{Time: time.Now(), Host: host, Transport: transport, Name: q.Name, Type: dns.Type(q.Qtype).String(), Fault: faulty}
	if resp != nil {
		entry.RCode = dns.RcodeToString[resp.Rcode]
		for _, rr := range resp.Answer[:min(len(resp.Answer), maxAnswers)] {
			entry.Answers = append(entry.Answers, brief(rr))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watch != nil {
		l.watch(asked(entry, resp, took))
	}
	if len(l.queries) < maxQueries {
		l.queries = append(l.queries, entry)
		return
	}
	l.queries[l.next] = entry
	l.next = (l.next + 1) % maxQueries
}

// asked is a query for those who watch.
func asked(q wire.Query, resp *dns.Msg, took time.Duration) Asked {
	a := Asked{Query: q}
	if resp == nil {
		return a
	}
	a.Took = took
	for _, rr := range resp.Answer[:min(len(resp.Answer), maxAnswers)] {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A.To4()
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if addr, ok := netip.AddrFromSlice(ip); ok {
			a.Addrs = append(a.Addrs, addr)
		}
	}
	return a
}

// brief is a record with blanks between its fields, without its data where that is long.
func brief(rr dns.RR) string {
	text := rr.Header().String()
	if long := dns.Len(rr) > maxAnswer; long {
		text += "…"
	} else {
		text = rr.String()
	}
	text = strings.ReplaceAll(text, "\t", " ")
	if len(text) > maxAnswer {
		text = strings.ToValidUTF8(text[:maxAnswer], "") + "…"
	}
	return text
}

// Queries are the last queries, the oldest first.
func (z *Zone) Queries() []wire.Query {
	z.log.mu.Lock()
	defer z.log.mu.Unlock()
	return slices.Concat(z.log.queries[z.log.next:], z.log.queries[:z.log.next])
}
