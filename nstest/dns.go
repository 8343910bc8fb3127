package nstest

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// DNS is the name server of an environment. Every host asks it, at an address of its own (127.0.0.53, which its
// /etc/resolv.conf names), over UDP and TCP; no query leaves the environment. It knows the names and addresses of hosts,
// from the moment at which AddHost returns until RemoveHost does, with a TTL of 0, and the reverse of both. What else it
// knows, and what it gets wrong, is set here.
//
// It answers as a caching resolver would: aliases are followed to their addresses. A name that nobody has given records to
// does not exist.
//
// Names are complete: resolv.conf has no search domains. A program that writes some to the file, which is its host's own,
// has them, as on any machine; and programs in a host whose name has a domain, such as api.shop, look there first for a
// name without dots. Host.LookupNetIP and DialContext do neither.
//
// Its methods may be called from any goroutine, and from every process that has the environment.
type DNS struct{ env *Env }

// DNSConfig is what the name server answers besides the names and addresses of hosts, which it always knows. The zero value
// is nothing more.
type DNSConfig struct {
	// Records are in the format of RFC 1035, section 5, one or a whole file each: "www 60 IN CNAME web",
	// "*.shop A 10.1.0.2". Names are relative to the root unless there is a $ORIGIN; $INCLUDE is refused. A record without
	// a TTL has that of the one before it in the same string, or 0, which means that it must not be cached.
	//
	// All types are understood that have data of their own, and answers come in the order in which the records are given.
	// Wildcards work as in RFC 4592. Where a name has an A, AAAA or CNAME record, the addresses of a host of that name are
	// not seen; with other records they are. Where a name is below one that has an SOA record, negative answers carry that
	// and may be cached as it says; elsewhere they may not. Nothing is delegated: NS records are data.
	//
	// There may be 4096 in all, of 1 MiB. A CNAME beside other records is refused.
	Records []string

	// Views are at most one for each host.
	Views []DNSView

	// Faults: the first one that matches a query has a part in its answer.
	Faults []DNSFault

	// DNS64 is the prefix in which names that have IPv4 addresses alone get IPv6 ones (RFC 6147), such as 64:ff9b::/96. It
	// has 32, 40, 48, 56, 64 or 96 bits. The addresses in it have the names of the IPv4 addresses that they stand for, and
	// ipv4only.arpa tells what it is (RFC 7050). Here private addresses have their place in every prefix.
	DNS64 netip.Prefix
}

// A DNSView are records that some hosts alone see, in the place of everybody's for the same name (split DNS). The hosts
// must exist; one that is removed and made again has the view still.
type DNSView struct {
	Hosts   []string
	Records []string
}

// A DNSFault makes the server answer wrongly, or late. What its fields leave open it does not care about.
type DNSFault struct {
	Name   string        // a leading "*." is every name below the rest
	Type   string        // "A", "AAAA", …
	Hosts  []string      // who gets it
	Answer DNSAnswer     // the zero value is the truth: of use with Delay, and for exceptions from the faults that follow
	Delay  time.Duration // until the answer is sent, up to a minute
	Times  int           // for how many queries; 0 is for all. A look-up of both families is two, and who fails asks again
}

// A DNSAnswer is how a query is answered.
type DNSAnswer int

// The values of DNSAnswer.
const (
	Truthful  DNSAnswer = iota
	NXDomain            // there is no such name
	ServFail            // the server has failed
	Refused             // the server does not want to
	Truncated           // over UDP: ask again over TCP, where the fault does not happen
	Lost                // no answer at all
)

var dnsAnswers = [...]string{"", "nxdomain", "servfail", "refused", "truncated", "lost"}

func (a DNSAnswer) String() string {
	if a < 0 || int(a) >= len(dnsAnswers) {
		return fmt.Sprintf("DNSAnswer(%d)", int(a))
	}
	return dnsAnswers[a]
}

// A Query is one question to the name server, and how it was answered.
type Query struct {
	Time      time.Time
	Host      string   // who asked
	Transport string   // "udp" or "tcp"
	Name      string   // as it was asked, with the final dot
	Type      string   // "A", …
	RCode     string   // "NOERROR", "NXDOMAIN", …; "" if no answer was sent
	Answers   []string // the first 16 records: "www. 60 IN CNAME web."
	Fault     bool     // a fault had a part in it
}

// DNS is the environment's name server.
func (e *Env) DNS() *DNS { return &DNS{e} }

// Set replaces what the server answers, at one instant, and has Times count anew. On error, which names the record, host or
// fault that is wrong, everything stays as it was.
func (d *DNS) Set(cfg DNSConfig) error {
	p := wire.DNS{Records: cfg.Records, DNS64: cfg.DNS64}
	for _, v := range cfg.Views {
		p.Views = append(p.Views, wire.DNSView(v))
	}
	for _, f := range cfg.Faults {
		p.Faults = append(p.Faults, wire.DNSFault{Name: f.Name, Type: f.Type, Hosts: f.Hosts, Answer: f.Answer.String(), Delay: f.Delay, Times: f.Times})
	}
	return d.call("set DNS", wire.MethodDNS, wire.DNSParams{DNS: p}, nil)
}

// Replace gives each name that has one of these records exactly them, at one instant, in the place of what it had in
// DNSConfig.Records. Other names, views and faults stay as they are.
//
//	env.DNS().Replace("db CNAME db2") // db has failed
func (d *DNS) Replace(records ...string) error {
	return d.call("replace DNS records", wire.MethodRecords, wire.RecordsParams{Records: records}, nil)
}

// Remove takes away the records that names have in DNSConfig.Records or of Replace, at one instant. A host of that name is
// seen again. A name without records is an error, and then nothing is removed.
func (d *DNS) Remove(names ...string) error {
	return d.call("remove DNS records", wire.MethodRecords, wire.RecordsParams{Remove: names}, nil)
}

// Queries are the last 1024 queries of all hosts, the oldest first.
func (d *DNS) Queries() ([]Query, error) {
	var r wire.QueriesResult
	if err := d.call("list DNS queries", wire.MethodQueries, nil, &r); err != nil {
		return nil, err
	}
	queries := make([]Query, len(r.Queries))
	for i, q := range r.Queries {
		queries[i] = Query(q)
	}
	return queries, nil
}

func (d *DNS) call(op, method string, params, result any) error {
	return wrap(op, d.env.name, "", d.env.call(context.Background(), method, params, result))
}
