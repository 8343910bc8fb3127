package analysis_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/plant"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

// host is a host of the state whose sockets were seen, that listens on these.
func host(name, addr string, listens ...string) bundle.HostState {
	h := bundle.HostState{Name: name, Interfaces: []bundle.Interface{{Name: "eth0", Network: "lan", State: "up", Addrs: []string{addr + "/24"}}}}
	for _, l := range listens {
		h.Sockets = append(h.Sockets, bundle.Socket{Protocol: "tcp", State: "LISTEN", Local: l, Send: 128})
	}
	return h
}

// refuse has web ask db on port 80, and be refused.
func refuse(b *plant.Bundle) {
	b.Wire = plant.NewWire("web", "db", "other")
	b.Wire.TCP(100*ms, plant.Segment{From: "web", To: "db", FromPort: 41000, ToPort: 80, Flags: "S", Seq: 7})
	b.Wire.TCP(101*ms, plant.Segment{From: "db", To: "web", FromPort: 80, ToPort: 41000, Flags: "RA", Ack: 8})
}

func TestWhyRefused(t *testing.T) {
	unseen := host("db", "10.0.0.2")
	unseen.Errors = []string{"sockets: not all was seen: not within 2s"}
	translates := host("db", "10.0.0.2")
	translates.Counters = []bundle.Counter{{Where: "NAT rule 1: forward tcp 80 to other"}}
	rejects := host("db", "10.0.0.2", "[::]:80")
	rejects.Counters = []bundle.Counter{{Where: "firewall rule 1: reject in", Packets: 2}}
	elsewhere := host("other", "10.0.0.3", "0.0.0.0:80")
	for name, c := range map[string]struct {
		hosts  []bundle.HostState
		events []bundle.Event
		want   string
	}{
		"loopback": {hosts: []bundle.HostState{host("db", "10.0.0.2", "127.0.0.1:80", "[::]:22")},
			want: "bad Refused: web → db:80 — db listens on 127.0.0.1:80 only ×1 (when the test failed; over IPv4) -> connection at 100ms"},
		"nobody": {hosts: []bundle.HostState{host("db", "10.0.0.2", "0.0.0.0:22"), elsewhere},
			want: "bad Refused: web → db:80 — nothing listens on port 80 of db ×1 (when the test failed, it listened on 0.0.0.0:22; port 80 is listened on by other; over IPv4) -> connection at 100ms"},
		"a rule": {hosts: []bundle.HostState{rejects},
			want: "bad Refused: web → db:80 — a firewall rule of db rejects ×1 (firewall rule 1: reject in: 2 packets; over IPv4) -> connection at 100ms"},
		"later": {hosts: []bundle.HostState{host("db", "10.0.0.2", "10.0.0.2:80")},
			want: "bad Refused: web → db:80 ×1 (RST in answer to SYN, but db listened on 10.0.0.2:80 when the test failed: it did not yet, or a firewall rejects; over IPv4) -> connection at 100ms"},
		"a name": {hosts: []bundle.HostState{host("db", "10.0.0.2")},
			events: []bundle.Event{{Kind: bundle.KindQuery, Host: "web", Text: "A store.test.", State: "NOERROR", Addrs: []string{"10.0.0.2"}}},
			want:   "bad Refused: web → db:80 — nothing listens on port 80 of db ×1 (web asked for store.test, which is 10.0.0.2 = db; when the test failed, it had no listening socket of TCP at all; over IPv4) -> connection at 100ms"},
		"its own name, and another's query": {hosts: []bundle.HostState{host("db", "10.0.0.2", "127.0.0.1:80")},
			events: []bundle.Event{{Kind: bundle.KindQuery, Host: "web", Text: "A db.", State: "NOERROR", Addrs: []string{"10.0.0.2"}}, {Kind: bundle.KindQuery, Host: "other", Text: "A store.test.", State: "NOERROR", Addrs: []string{"10.0.0.2"}}},
			want:   "bad Refused: web → db:80 — db listens on 127.0.0.1:80 only ×1 (when the test failed; over IPv4) -> connection at 100ms"},
		"unseen":     {hosts: []bundle.HostState{unseen}, want: "bad Refused: web → db:80 ×1 (RST in answer to SYN: nobody listened there, or a firewall rejects; over IPv4) -> connection at 100ms"},
		"translated": {hosts: []bundle.HostState{translates}, want: "bad Refused: web → db:80 ×1 (RST in answer to SYN: nobody listened there, or a firewall rejects; over IPv4) -> connection at 100ms"},
	} {
		t.Run(name, func(t *testing.T) {
			a := read(t, func(b *plant.Bundle) {
				refuse(b)
				b.State = &bundle.State{Hosts: c.hosts}
				for _, e := range c.events {
					b.Event(90*ms, e)
				}
			})
			if got := findings(a); !slices.Contains(got, c.want) {
				t.Errorf("%q is not in\n%q", c.want, got)
			}
		})
	}
}

// What tells of something bad that has happened to it comes after that; what has ended before, or elsewhere, does not.
func TestWhatFollows(t *testing.T) {
	a := read(t, func(b *plant.Bundle) {
		refuse(b)
		run := func(number int, host string, from, to time.Duration, program string) {
			b.Event(from, bundle.Event{Kind: bundle.KindStart, Host: host, Process: number, PID: number, Args: []string{program}})
			b.Event(to, bundle.Event{Kind: bundle.KindExit, Host: host, Process: number, PID: number, State: "exit status 7", Took: to - from})
		}
		run(1, "web", 90*ms, 110*ms, "curl")
		run(2, "web", 200*ms, 210*ms, "later")
		run(3, "db", 10*ms, 150*ms, "server")
	})
	want := map[string]bool{"curl": true, "later": false, "server": false, "Refused": false}
	for text, follows := range want {
		at := slices.IndexFunc(findings(a), func(s string) bool { return strings.Contains(s, text) })
		if at < 0 || a.Findings[at].Follows != follows {
			t.Errorf("%s at %d: follows is not %v in %q", text, at, follows, findings(a))
		}
	}
	if last := a.Findings[len(a.Findings)-1]; !last.Follows || !strings.Contains(last.Title, "curl") {
		t.Errorf("the last one is %q", last.Title)
	}
}

// ask is a request on a connection that its client closes at some time, and what was answered, if anything, at another.
func ask(w *plant.Wire, from, to string, port uint16, at, closed, answered time.Duration) {
	c := plant.Segment{From: from, To: to, FromPort: port, ToPort: 80, Seq: 1000}
	s := plant.Segment{From: to, To: from, FromPort: 80, ToPort: port, Seq: 5000}
	send := func(at time.Duration, x, other *plant.Segment, flags, payload string) {
		x.Flags, x.Payload, x.Ack = flags, payload, other.Seq
		w.TCP(at, *x)
		x.Seq += uint32(len(payload))
		if flags[0] != 'P' && flags != "A" {
			x.Seq++
		}
	}
	send(at, &c, &s, "S", "")
	send(at+ms, &s, &c, "SA", "")
	send(at+2*ms, &c, &s, "PA", "GET /"+to+" HTTP/1.1\r\n\r\n")
	steps := []func(){
		func() { send(closed, &c, &s, "FA", "") },
		func() {
			if answered > 0 {
				send(answered, &s, &c, "PA", "HTTP/1.1 200 OK\r\n\r\n")
			}
		},
	}
	if answered > 0 && answered < closed {
		slices.Reverse(steps)
	}
	for _, f := range steps {
		f()
	}
}

// The one who has not answered is the one whom all others wait for.
func TestNoAnswer(t *testing.T) {
	a := read(t, func(b *plant.Bundle) {
		b.Wire = plant.NewWire("client", "shop", "stock")
		ask(b.Wire, "client", "shop", 40000, 100*ms, 1100*ms, 1105*ms)
		ask(b.Wire, "shop", "stock", 41000, 110*ms, 1101*ms, 0)
	})
	same(t, "what stands out", findings(a), []string{
		"bad No answer: shop → stock: GET /stock HTTP/1.1 ×1 (stock had not answered when shop hung up after 989ms) -> http at 112ms",
		"bad No answer: client → shop: GET /shop HTTP/1.1 ×1 (shop had not answered when client hung up after 998ms; it did 5ms later) -> http at 102ms",
	})
	if len(a.Findings) != 2 || a.Findings[0].Follows || !a.Findings[1].Follows {
		t.Errorf("what follows: %+v", a.Findings)
	}

	a = read(t, func(b *plant.Bundle) { // in time; and slowly, though nobody is waited for meanwhile
		b.Wire = plant.NewWire("client", "shop", "stock")
		ask(b.Wire, "client", "shop", 40000, 100*ms, 1100*ms, 150*ms)
		ask(b.Wire, "client", "stock", 40001, 100*ms, 1100*ms, 900*ms)
	})
	same(t, "what stands out", findings(a), []string{"odd Slow answer: client → stock: GET /stock HTTP/1.1 ×1 (it has taken 798ms) -> http at 102ms"})
}

const idle = `goroutine 7 [running]:
github.com/hermetic-go/nstest/nstest/internal/twin.Stacks(...)
	/src/nstest/recorder.go:77
example.test/shop.TestShop(0x1)
	/src/shop_test.go:20 +0x45

goroutine 8 [select]:
net/http.(*persistConn).readLoop(0xc0001)
	/usr/local/go/src/net/http/transport.go:2398 +0xa5
created by example.test/shop.ask in goroutine 1
	/src/shop_test.go:30 +0x1

goroutine 9 [chan receive]:
github.com/onsi/gomega/internal.(*AsyncAssertion).match(0x1)
	/root/go/pkg/mod/github.com/onsi/gomega/internal/async_assertion.go:550 +0x1
example.test/shop.init.func2.6({0x1, 0x2})
	/src/shop_test.go:131 +0x2e2

goroutine 10 [IO wait]:
internal/poll.runtime_pollWait(0x7f5c1004f600, 0x72)
	/usr/local/go/src/runtime/netpoll.go:351 +0x85
net.(*TCPListener).Accept(0x1)
	/usr/local/go/src/net/tcpsock.go:380 +0x1
example.test/shop.serve()
	/src/shop_test.go:40 +0x1
`

const stuck = idle + `
goroutine 24 [chan receive]:
example.test/shop.init.func2.6.1()
	/src/shop_test.go:128 +0x2e
created by example.test/shop.init.func2.6 in goroutine 23
	/src/shop_test.go:128 +0xa5

goroutine 25 [chan receive, 2 minutes]:
example.test/shop.init.func2.6.2()
	/src/shop_test.go:129 +0x2e
created by example.test/shop.init.func2.6 in goroutine 23
	/src/shop_test.go:129 +0xf3
`

// Goroutines of the test that wait stand out where the test has waited for too long, those of servers and of Ginkgo never.
func TestGoroutinesThatWait(t *testing.T) {
	for name, c := range map[string]struct {
		dump, message string
		want          []string
	}{
		"both":        {stuck, "Timed out after 1.001s.", []string{"odd 2 goroutines of the test wait in chan receive ×1 (/src/shop_test.go:128, /src/shop_test.go:129)"}},
		"not in time": {stuck, "Expected 503 to equal 200", nil},
		"others":      {idle, "Timed out after 1.001s.", nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := read(t, func(b *plant.Bundle) {
				b.Manifest.Failures[0].Message = c.message
				if err := b.File(bundle.GoroutinesFile, []byte(c.dump)); err != nil {
					t.Fatal(err)
				}
			})
			same(t, "what stands out", findings(a), c.want)
		})
	}
}

// A process that waits for the other end of a FIFO hangs, one that waits for work does not.
func TestProcessThatHangs(t *testing.T) {
	a := read(t, func(b *plant.Bundle) {
		h := host("web", "10.0.0.1")
		h.Processes = []bundle.Process{
			{PID: 2, Args: []string{"sh", "-c", "read x </run/a"}, State: "S", Waits: "open(/run/a)", Age: 1900 * ms},
			{PID: 3, Args: []string{"nginx"}, State: "S", Waits: "epoll_wait(3)"},
			{PID: 4, Args: []string{"cat"}, State: "S", Waits: "read(0)"},
			{PID: 5, Args: []string{"find"}, State: "R", Waits: "open"},
		}
		b.State = &bundle.State{Hosts: []bundle.HostState{h}}
	})
	same(t, "what stands out", findings(a), []string{`bad web: process 2 hangs in open(/run/a): sh -c "read x </run/a" ×1 (it had run for 1.9s when the test failed) -> processes of web`})
}

// A host that has set its own interface down has no way out.
func TestInterfaceSetDown(t *testing.T) {
	a := read(t, func(b *plant.Bundle) {
		h := host("web", "10.0.0.1")
		h.Interfaces[0].State, h.Interfaces[0].Down = "down", true
		h.Kernel = []bundle.Statistic{{Name: "Ip OutNoRoutes", Value: 2}}
		other := host("db", "10.0.0.2")
		other.Kernel = []bundle.Statistic{{Name: "Ip OutNoRoutes", Value: 2}}
		b.State = &bundle.State{Hosts: []bundle.HostState{h, other}}
	})
	same(t, "what stands out", findings(a), []string{
		"bad web: eth0 is down ×1 (set down by the host itself, as ip link set down does: it has no way into network lan) -> interfaces of web",
		"odd db: 2 packets without a route ×1 (Ip OutNoRoutes) -> kernel of db",
		"odd web: 2 packets without a route ×1 (Ip OutNoRoutes) -> kernel of web",
	})
}
