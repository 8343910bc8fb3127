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
	queries []wire.Query
	next    int // where the next one goes, once there are maxQueries
}

// add remembers that host has asked, and got resp, nil for nothing.
func (l *log) add(host, transport string, q dns.Question, resp *dns.Msg, faulty bool) {
	entry := wire.Query{Time: time.Now(), Host: host, Transport: transport, Name: q.Name, Type: dns.Type(q.Qtype).String(), Fault: faulty}
	if resp != nil {
		entry.RCode = dns.RcodeToString[resp.Rcode]
		for _, rr := range resp.Answer[:min(len(resp.Answer), maxAnswers)] {
			entry.Answers = append(entry.Answers, brief(rr))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queries) < maxQueries {
		l.queries = append(l.queries, entry)
		return
	}
	l.queries[l.next] = entry
	l.next = (l.next + 1) % maxQueries
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
