package plant

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

// Shop is a bundle in which everything is wrong at once: a front end, an API and a database, of which the last one has died.
func Shop(dir string) (*Bundle, error) {
	b := New(dir)
	b.Wire = NewWire("self", "web", "api", "db")
	b.nodes()
	b.processes()
	b.traffic()
	b.State = state()
	if err := b.File(bundle.GoroutinesFile, []byte(dump)); err != nil {
		return nil, err
	}
	if err := b.JSON(bundle.TopologyFile, topology(b.Wire)); err != nil {
		return nil, err
	}
	return b, b.Write()
}

const ms = time.Millisecond

func (b *Bundle) nodes() {
	b.Event(0, bundle.Event{Kind: bundle.KindNode, Text: "BeforeEach", Location: "/src/shop/shop_test.go:20"})
	for _, h := range []string{"self", "web", "api", "db"} {
		b.Event(ms, bundle.Event{Kind: bundle.KindHost, Host: h, Addrs: []string{b.Wire.Addr(h).String()}})
	}
	b.Event(300*ms, bundle.Event{Kind: bundle.KindNode, Text: "BeforeEach", Location: "/src/shop/shop_test.go:20", State: "passed", Took: 300 * ms})
	b.Event(301*ms, bundle.Event{Kind: bundle.KindNode, Text: "It fails over when the database dies", Location: "/src/shop/shop_test.go:34"})
	b.Event(310*ms, bundle.Event{Kind: bundle.KindStep, Text: "ordering while everything is well", Location: "/src/shop/shop_test.go:36"})
	b.Event(700*ms, bundle.Event{Kind: bundle.KindStep, Text: "ordering while everything is well", Location: "/src/shop/shop_test.go:36", Took: 390 * ms})
	b.Event(710*ms, bundle.Event{Kind: bundle.KindStep, Text: "killing the database, and cutting web from db", Location: "/src/shop/shop_test.go:39"})
	b.Event(720*ms, bundle.Event{Kind: bundle.KindFault, Fault: 1, Text: "partition of web | db", Hosts: []string{"web", "db"}})
	b.Event(730*ms, bundle.Event{Kind: bundle.KindLink, Host: "api", Network: "lan", Text: "delay 20ms"})
	b.Event(2000*ms, bundle.Event{Kind: bundle.KindFailure, Text: b.Manifest.Failures[0].Message, Location: "/src/shop/shop_test.go:42", State: "failed"})
	b.Event(2001*ms, bundle.Event{Kind: bundle.KindNode, Text: "It fails over when the database dies", Location: "/src/shop/shop_test.go:34", State: "failed", Took: 1700 * ms})
}

func (b *Bundle) processes() {
	for i, p := range []struct{ host, program string }{{"web", "nginx"}, {"api", "./api"}, {"db", "postgres"}} {
		b.Event(time.Duration(20+10*i)*ms, bundle.Event{Kind: bundle.KindStart, Host: p.host, Process: i + 1, PID: 2, Args: []string{p.program, "-D", "/run/" + p.host}})
	}
	line := func(at time.Duration, host string, process int, stream, text string) {
		b.Event(at, bundle.Event{Kind: bundle.KindLog, Host: host, Process: process, PID: 2, Stream: stream, Text: text})
	}
	line(60*ms, "db", 3, "stderr", "LOG:  database system is ready to accept connections")
	line(80*ms, "api", 2, "stdout", "listening on :8080")
	line(400*ms, "api", 2, "stdout", "order 1 is stored")
	line(745*ms, "db", 3, "stderr", "FATAL:  could not write to file \"pg_wal/xlogtemp.31\": No space left on device")
	b.Event(750*ms, bundle.Event{Kind: bundle.KindExit, Host: "db", Process: 3, PID: 2, State: "signal: killed", OOM: true, Took: 710 * ms})
	line(900*ms, "api", 2, "stderr", "order 2: connect to db:5432: connection refused")
	line(1400*ms, "api", 2, "stderr", "order 2: giving up <b>&amp;</script>")
	for i, q := range []struct{ name, state string }{{"A db.", "NOERROR"}, {"A cache.", "NXDOMAIN"}, {"A queue.", "SERVFAIL"}, {"AAAA db.", "lost"}} {
		e := bundle.Event{Kind: bundle.KindQuery, Host: "api", Text: q.name, State: q.state, Took: time.Duration(i) * ms}
		if q.state == "NOERROR" {
			e.Addrs = []string{"10.0.0.4"}
		}
		b.Event(time.Duration(350+100*i)*ms, e)
	}
}

func (b *Bundle) traffic() {
	w := b.Wire
	w.Exchange(320*ms, "self", "web", 40000, 80, "POST /orders HTTP/1.1\r\nHost: web\r\n\r\n", "HTTP/1.1 201 Created\r\n\r\n")
	w.Exchange(380*ms, "web", "api", 40001, 8080, "POST /orders HTTP/1.1\r\nHost: api\r\n\r\n", "HTTP/1.1 201 Created\r\n\r\n")
	w.Exchange(800*ms, "self", "web", 40002, 80, "POST /orders HTTP/1.1\r\nHost: web\r\n\r\n", "HTTP/1.1 503 Service Unavailable\r\n\r\n")
	// db has no server any more: refused.
	for i := range uint16(3) {
		at := time.Duration(850+50*i) * ms
		w.TCP(at, Segment{From: "api", To: "db", FromPort: 41000 + i, ToPort: 5432, Flags: "S", Seq: 7})
		w.TCP(at+ms, Segment{From: "db", To: "api", FromPort: 5432, ToPort: 41000 + i, Flags: "RA", Ack: 8})
	}
	// web and db are cut from each other: black-holed.
	for i := range time.Duration(3) {
		w.TCP(800*ms+i*300*ms, Segment{From: "web", To: "db", FromPort: 42000, ToPort: 5432, Flags: "S", Seq: 9, Dropped: "dropped on the way from web to db: fault 1: partition of web | db"})
	}
	w.TCP(1000*ms, Segment{From: "web", To: "api", FromPort: 43000, ToPort: 9090, Flags: "S", Seq: 9})
	w.Unreachable(1001*ms, "api", "web", 43000, 9090)
	// A connection that is reset amid its life, and one whose client does not trust the server.
	w.TCP(1100*ms, Segment{From: "self", To: "api", FromPort: 44000, ToPort: 8443, Flags: "S", Seq: 1})
	w.TCP(1101*ms, Segment{From: "api", To: "self", FromPort: 8443, ToPort: 44000, Flags: "SA", Seq: 1, Ack: 2})
	hello := ClientHello("api.shop.test")
	w.TCP(1102*ms, Segment{From: "self", To: "api", FromPort: 44000, ToPort: 8443, Flags: "PA", Seq: 2, Ack: 2, Payload: hello})
	w.TCP(1103*ms, Segment{From: "self", To: "api", FromPort: 44000, ToPort: 8443, Flags: "PA", Seq: 2 + uint32(len(hello)), Ack: 2, Payload: "\x15\x03\x03\x00\x02\x02\x30"})
	w.TCP(1104*ms, Segment{From: "api", To: "self", FromPort: 8443, ToPort: 44000, Flags: "R", Seq: 2})
	w.UDP(1200*ms, "api", "web", 5353, 53, query(false, layers.DNSResponseCodeNoErr))
	w.UDP(1201*ms, "web", "api", 53, 5353, query(true, layers.DNSResponseCodeServFail))
}

// ClientHello is the record with which a client of TLS begins that asks for a server by name.
func ClientHello(name string) string {
	client, server := net.Pipe()
	go func() {
		_ = tls.Client(client, &tls.Config{ServerName: name, NextProtos: []string{"h2", "http/1.1"}}).Handshake() // which has no answer
	}()
	header := make([]byte, 5)
	_, _ = io.ReadFull(server, header)
	body := make([]byte, int(header[3])<<8|int(header[4]))
	_, _ = io.ReadFull(server, body)
	server.Close()
	return string(header) + string(body)
}

func query(answer bool, code layers.DNSResponseCode) []byte {
	d := &layers.DNS{ID: 1, QR: answer, ResponseCode: code, Questions: []layers.DNSQuestion{{Name: []byte("mail.shop.test"), Type: layers.DNSTypeMX, Class: layers.DNSClassIN}}}
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, d); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func state() *bundle.State {
	return &bundle.State{
		Time:   Began.Add(2 * time.Second),
		Faults: []bundle.FaultState{{Fault: 1, Since: Began.Add(720 * ms), Text: "partition of web | db", Hosts: []string{"web", "db"}}},
		Cgroup: &bundle.Cgroup{Path: "/nstest-1", Memory: 99 << 20, Limit: 100 << 20, OOMKills: 1, PIDs: 7},
		Hosts: []bundle.HostState{
			{Name: "self", Processes: []bundle.Process{{PID: 1, Args: []string{"nstest-init"}, State: "S", Threads: 1, RSS: 40 << 10, Age: 2 * time.Second}}},
			{
				Name:       "web",
				Processes:  []bundle.Process{{PID: 2, Parent: 1, Number: 1, Args: []string{"nginx", "-D", "/run/web"}, State: "S", Waits: "epoll_wait", UID: 33, Threads: 1, RSS: 12 << 20, CPU: 30 * ms, Age: 1980 * ms}},
				Sockets:    []bundle.Socket{{Protocol: "tcp", State: "LISTEN", Local: "0.0.0.0:80", Receive: 129, Send: 128, PIDs: []int{2}}, {Protocol: "tcp", State: "SYN_SENT", Local: "10.0.0.2:42000", Remote: "10.0.0.4:5432", Send: 1, Retries: 2, PIDs: []int{2}}},
				Interfaces: []bundle.Interface{{Name: "eth0", Network: "lan", State: "up", MAC: "02:00:00:00:00:02", MTU: 1500, Addrs: []string{"10.0.0.2/24"}, RxPackets: 31, RxBytes: 4096, TxPackets: 29, TxBytes: 5000}},
				Routes:     []bundle.Route{{To: "10.0.0.0/24", Device: "eth0"}, {To: "default", Via: "10.0.0.254", Device: "eth0"}},
				Neighbours: []bundle.Neighbour{{Addr: "10.0.0.4", Device: "eth0", State: "FAILED"}},
				Counters:   []bundle.Counter{{Where: "inet filter input drop tcp port 9090", Packets: 3, Bytes: 180}, {Where: "inet filter input accept", Packets: 900, Bytes: 99000}},
				Kernel:     []bundle.Statistic{{Name: "TcpExt ListenOverflows", Value: 4}, {Name: "Ip InReceives", Value: 1000}},
			},
			{
				Name:       "db",
				Processes:  []bundle.Process{{PID: 5, Parent: 1, Args: []string{"[postgres]"}, State: "Z"}},
				Mounts:     []bundle.Mount{{Target: "/run/db", Type: "tmpfs", Source: "tmpfs", Options: "rw,size=1024k", Size: 1 << 20, Free: 0, Inodes: 1000, IFree: 900}, {Target: "/usr", Type: "squashfs", Options: "ro", Size: 1 << 30}},
				Interfaces: []bundle.Interface{{Name: "eth0", Network: "lan", State: "lowerlayerdown", MTU: 1500, Addrs: []string{"10.0.0.4/24"}}},
			},
		},
	}
}

func topology(w *Wire) *nstest.Topology {
	t := &nstest.Topology{Name: "shop", Networks: []nstest.TopologyNetwork{{Name: "lan", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, MTU: 1500}}, Partitions: [][][]string{{{"web"}, {"db"}}}}
	for _, h := range w.hosts {
		t.Hosts = append(t.Hosts, nstest.TopologyHost{Name: h.name, Links: []nstest.TopologyLink{{Network: "lan", Interface: "eth0", Addrs: []netip.Addr{h.addr}, MAC: h.mac.String(), Down: h.name == "db"}}})
	}
	return t
}

const dump = `goroutine 1 [chan receive]:
testing.(*T).Run(0xc000003a40, {0x11}, 0x22)
	/usr/local/go/src/testing/testing.go:2005 +0x4ad
main.main()
	_testmain.go:47 +0x9b

goroutine 34 [select]:
net/http.(*persistConn).readLoop(0xc0001)
	/usr/local/go/src/net/http/transport.go:2398 +0xa5

goroutine 35 [select]:
net/http.(*persistConn).readLoop(0xc0001)
	/usr/local/go/src/net/http/transport.go:2398 +0xa5
`
