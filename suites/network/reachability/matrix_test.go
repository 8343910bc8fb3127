package reachability_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Those that are to answer are asked until they do. The others are asked once they have, some times,
// for as long as nothing would take that much time.
const (
	again    = 200 * time.Millisecond
	silence  = 100 * time.Millisecond
	attempts = 3
	parallel = 400
)

// questions are all that can be asked.
func (p *plan) questions(kinds ...kind) (list []question) {
	for from := range p.nodes {
		for to, n := range p.nodes {
			if to == from {
				continue
			}
			for _, a := range n.addrs() {
				for _, k := range kinds {
					list = append(list, question{from, to, a, k})
				}
			}
		}
	}
	return list
}

// answers are what the plan says.
func (p *plan) answers(kinds ...kind) map[question]bool {
	out := map[question]bool{}
	for _, q := range p.questions(kinds...) {
		out[q] = p.expect(q)
	}
	return out
}

// differences asks every question, and tells of those whose answer is not the one that is expected.
func (e *environment) differences(expected map[question]bool) (list []string) {
	GinkgoHelper()
	got := map[question]bool{}
	var yes, no []question
	for q, want := range expected {
		switch {
		case q.kind == echo:
		case want:
			yes = append(yes, q)
		default:
			no = append(no, q)
		}
	}
	e.ping(expected, got)
	e.dial(yes, e.patience, got)
	e.dial(no, silence, got)
	for q, want := range expected {
		if got[q] != want {
			list = append(list, fmt.Sprintf("%s: %s %s: is %t, expected %t", e.plan.nodes[q.from].name, [...]string{"echo", "connect", "refusal"}[q.kind], q.addr, got[q], want))
		}
	}
	return list
}

// dial asks by TCP.
func (e *environment) dial(list []question, wait time.Duration, got map[question]bool) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, q := range list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			port := uint16(open)
			if q.kind == refusal {
				port = closed
			}
			ctx, cancel := context.WithTimeout(context.Background(), wait)
			defer cancel()
			c, err := e.hosts[q.from].DialContext(ctx, "tcp", netip.AddrPortFrom(q.addr, port).String())
			if err == nil {
				_ = c.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			got[q] = err == nil && q.kind == connect || errors.Is(err, syscall.ECONNREFUSED) && q.kind == refusal
		})
	}
	wg.Wait()
}

// A pinger sends ICMP echo requests of one family from one node.
type pinger struct {
	conn  *icmp.PacketConn
	node  int
	is4   bool
	heard chan question
}

// ping asks by ICMP.
func (e *environment) ping(expected, got map[question]bool) {
	GinkgoHelper()
	heard := make(chan question)
	done := make(chan struct{})
	pingers := map[question]*pinger{} // by node and family
	var wg sync.WaitGroup
	for i, h := range e.hosts {
		for _, is4 := range []bool{true, false} {
			p := &pinger{node: i, is4: is4, heard: heard}
			Expect(h.Do(func() (err error) {
				if is4 {
					p.conn, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0")
				} else {
					p.conn, err = icmp.ListenPacket("ip6:ipv6-icmp", "::")
				}
				return err
			})).To(Succeed())
			pingers[question{from: i, addr: zero(is4)}] = p
			wg.Go(func() { p.listen(done) })
		}
	}
	defer func() {
		close(done)
		for _, p := range pingers {
			_ = p.conn.Close()
		}
		wg.Wait()
	}()
	send := func(q question) { pingers[question{from: q.from, addr: zero(q.addr.Is4())}].send(q.addr) }
	collect := func(q question) {
		for to, n := range e.plan.nodes {
			for _, a := range n.addrs() {
				if a == q.addr {
					got[question{q.from, to, a, echo}] = true
				}
			}
		}
	}
	// round asks all, and returns when those that are to answer have answered since.
	round := func() {
		missing := map[question]bool{}
		for q, want := range expected {
			if q.kind == echo {
				send(q)
				missing[q] = want
			}
		}
		for q := range missing {
			if !missing[q] {
				delete(missing, q)
			}
		}
		end, tick := time.After(e.patience), time.NewTicker(again)
		defer tick.Stop()
		for len(missing) > 0 {
			select {
			case q := <-heard:
				collect(q)
				for m := range missing {
					if m.from == q.from && m.addr == q.addr {
						delete(missing, m)
					}
				}
			case <-tick.C:
				for q := range missing {
					send(q)
				}
			case <-end:
				return
			}
		}
	}
	for range attempts {
		round()
	}
	for end := time.After(silence); ; {
		select {
		case q := <-heard:
			collect(q)
		case <-end:
			return
		}
	}
}

// zero stands for a family.
func zero(is4 bool) netip.Addr {
	if is4 {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

const echoID = 4711

func (p *pinger) send(to netip.Addr) {
	kind := icmp.Type(ipv4.ICMPTypeEcho)
	if !p.is4 {
		kind = ipv6.ICMPTypeEchoRequest
	}
	b, err := (&icmp.Message{Type: kind, Body: &icmp.Echo{ID: echoID, Seq: 1}}).Marshal(nil)
	if err == nil {
		_, _ = p.conn.WriteTo(b, &net.IPAddr{IP: to.AsSlice()}) // without a route it fails, and is not answered
	}
}

// listen tells who answers.
func (p *pinger) listen(done chan struct{}) {
	number := 1
	if !p.is4 {
		number = 58
	}
	for b := make([]byte, 1500); ; {
		n, from, err := p.conn.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // somebody has said that he cannot be reached
		}
		m, err := icmp.ParseMessage(number, b[:n])
		if err != nil {
			continue
		}
		if e, ok := m.Body.(*icmp.Echo); !ok || e.ID != echoID || m.Type != ipv4.ICMPTypeEchoReply && m.Type != ipv6.ICMPTypeEchoReply {
			continue
		}
		a, _ := netip.AddrFromSlice(from.(*net.IPAddr).IP)
		select {
		case p.heard <- question{from: p.node, addr: a.Unmap()}:
		case <-done:
			return
		}
	}
}
