package names

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// What a zone holds for one environment. The owner of the environment is not trusted with the keeper's memory.
const (
	maxRecords = 4096    // in all lists together
	maxOctets  = 1 << 20 // of these records, as they are sent
	maxText    = 1 << 20 // octets to be parsed at a time, and
	maxFile    = 1 << 16 // in one text: the parser copies a comment in parentheses with each word that follows it
)

// records are resource records by name.
type records struct {
	nodes map[string][]dns.RR // by canonical name
	inner map[string]bool     // names that exist because a name below them does (RFC 4592, section 2.2.2)
}

// parse reads records in master-file format (RFC 1035, section 5), each text by itself: one record, or a whole file. Names
// are relative to the root, until a $ORIGIN; the TTL of a record that has none is the one of the record before it, of $TTL,
// or 0. A record
// that is given twice counts once. It takes no more than there is room for, and takes from it what it needs.
func parse(texts []string, room *room) ([]dns.RR, error) {
	var list []dns.RR
	buf := make([]byte, dns.MaxMsgSize)
	for _, text := range texts {
		if err := room.read(text); err != nil {
			return nil, err
		}
		zp := dns.NewZoneParser(strings.NewReader(text), ".", "") // which includes no file unless it is told that it may
		zp.SetDefaultTTL(0)
		n := len(list)
		for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
			rr, octets, err := normal(rr, buf)
			if err != nil {
				return nil, fmt.Errorf("record %q: %w", excerpt(rr.String()), err)
			}
			if err := room.take(octets); err != nil {
				return nil, err
			}
			list = append(list, rr)
		}
		if err := zp.Err(); err != nil {
			return nil, fmt.Errorf("record %q: %w", blamed(text, err), err)
		}
		if len(list) == n {
			return nil, fmt.Errorf("record %q: there is none in it", excerpt(text))
		}
	}
	return dns.Dedup(list, nil), nil
}

// room is what is left of the bounds.
type room struct{ records, octets, text int }

func newRoom() *room { return &room{maxRecords, maxOctets, maxText} }

// read refuses a text that would keep the parser busy for long.
func (r *room) read(text string) error {
	r.text -= len(text)
	switch {
	case len(text) > maxFile:
		return fmt.Errorf("record %q: it has more than %d octets", excerpt(text), maxFile)
	case r.text < 0:
		return fmt.Errorf("the records have more than %d octets of text", maxText)
	case strings.Contains(strings.ToUpper(text), "$GENERATE"): // of BIND, no part of the format
		return fmt.Errorf("record %q: $GENERATE is not understood here", excerpt(text))
	}
	return nil
}

func (r *room) take(octets int) error {
	r.records--
	r.octets -= octets
	switch {
	case r.records < 0:
		return fmt.Errorf("there are more than %d records", maxRecords)
	case r.octets < 0:
		return fmt.Errorf("the records have more than %d octets", maxOctets)
	}
	return nil
}

// normal is rr as it comes out of a message, so that a name is always spelt the same, and its size. buf is room for
// one. What cannot stand in an answer is refused.
func normal(rr dns.RR, buf []byte) (_ dns.RR, octets int, err error) {
	h := rr.Header()
	switch t := h.Rrtype; {
	case h.Class != dns.ClassINET:
		return rr, 0, fmt.Errorf("the class is %s, not IN", dns.Class(h.Class))
	case t == dns.TypeOPT || t >= 128 && t <= 255: // RFC 6895, section 3.1
		return rr, 0, fmt.Errorf("%s is a type of queries, not of records", dns.Type(t))
	case t == dns.TypeDNAME:
		return rr, 0, errors.New("DNAME is not understood here: use CNAME records, also with a wildcard")
	case isLocalhost(dns.CanonicalName(h.Name)):
		return rr, 0, errors.New("localhost is always the loopback address")
	}
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return rr, 0, err
	}
	out, _, err := dns.UnpackRR(slices.Clone(buf[:n]), 0)
	if err != nil {
		return rr, 0, err
	}
	return out, n, nil
}

// arrange makes records of a list.
func arrange(list []dns.RR) (*records, error) {
	r := &records{nodes: map[string][]dns.RR{}, inner: map[string]bool{".": true}}
	for _, rr := range list {
		key := dns.CanonicalName(rr.Header().Name)
		r.nodes[key] = append(r.nodes[key], rr)
		for parent := range ancestors(key) {
			r.inner[parent] = true
		}
	}
	for key, node := range r.nodes {
		if len(ofType(node, dns.TypeCNAME)) > 0 && len(node) > 1 {
			return nil, fmt.Errorf("%s is an alias and has other records too, which RFC 1034, section 3.6.2, forbids: %s", key, excerpt(node[0].String()+"; "+node[1].String()))
		}
		if len(ofType(node, dns.TypeSOA)) > 1 {
			return nil, fmt.Errorf("%s has two SOA records", key)
		}
	}
	return r, nil
}

// ancestors are the names above a canonical name, the nearest first and the root last.
func ancestors(key string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for key != "." {
			at, end := dns.NextLabel(key, 0)
			if key = key[at:]; end {
				key = "."
			}
			if !yield(key) {
				return
			}
		}
	}
}

func ofType(node []dns.RR, types ...uint16) []dns.RR {
	var out []dns.RR
	for _, rr := range node {
		if slices.Contains(types, rr.Header().Rrtype) {
			out = append(out, rr)
		}
	}
	return out
}

// blamed is the line of text that err, which the parser returned, is about.
func blamed(text string, err error) string {
	_, place, _ := strings.Cut(err.Error(), "at line: ")
	lines, at := strings.Split(text, "\n"), 1
	if _, err := fmt.Sscanf(place, "%d:", &at); err == nil && at >= 1 && at <= len(lines) {
		text = lines[at-1]
	}
	return excerpt(text)
}

// excerpt is a text short enough for a message.
func excerpt(text string) string {
	const most = 120
	text = strings.Join(strings.Fields(text[:min(len(text), 10*most)]), " ")
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
