package names

import (
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
	entries []entry
	next    int // where the next one goes, once there are maxQueries
}

// An entry is a query, whose answers are spelt out when somebody wants to read them.
type entry struct {
	wire.Query
	answers []dns.RR
}

// add remembers that host has asked, and got resp, nil for nothing.
func (l *log) add(host, transport string, q dns.Question, resp *dns.Msg, faulty bool) {
	e := entry{Query: wire.Query{Time: time.Now(), Host: host, Transport: transport, Name: q.Name, Type: dns.Type(q.Qtype).String(), Fault: faulty}}
	if resp != nil {
		e.RCode = dns.RcodeToString[resp.Rcode]
		e.answers = slices.Clone(resp.Answer[:min(len(resp.Answer), maxAnswers)])
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) < maxQueries {
		l.entries = append(l.entries, e)
		return
	}
	l.entries[l.next] = e
	l.next = (l.next + 1) % maxQueries
}

// Queries are the last queries, the oldest first.
func (z *Zone) Queries() []wire.Query {
	z.log.mu.Lock()
	entries := append(append([]entry{}, z.log.entries[z.log.next:]...), z.log.entries[:z.log.next]...)
	z.log.mu.Unlock()
	out := make([]wire.Query, len(entries))
	for i, e := range entries {
		out[i] = e.Query
		for _, rr := range e.answers {
			text := strings.ReplaceAll(rr.String(), "\t", " ")
			if len(text) > maxAnswer {
				text = strings.ToValidUTF8(text[:maxAnswer], "") + "…"
			}
			out[i].Answers = append(out[i].Answers, text)
		}
	}
	return out
}
