package analysis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/plant"
)

// A heard connection has what one side sends, as segments.
type heardConn struct {
	net.Conn
	mu      *sync.Mutex
	said    *[]plant.Segment
	segment plant.Segment
}

func (c *heardConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	s := c.segment
	s.Payload = string(b)
	c.segment.Seq += uint32(len(b))
	*c.said = append(*c.said, s)
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// shake is what a client and a server say whose certificate has expired.
func shake(t *testing.T, version uint16) (said []plant.Segment) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2020, 1, 2, 3, 4, 0, 0, time.UTC)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shop.test", Organization: []string{"Shop"}},
		DNSNames: []string{"shop.test"}, NotBefore: at, NotAfter: at.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	known, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(known)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String()) // a net.Pipe has no room for two who speak at once
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	conn := func(c net.Conn, from, to string, fromPort, toPort uint16) net.Conn {
		return &heardConn{c, &mu, &said, plant.Segment{From: from, To: to, FromPort: fromPort, ToPort: toPort, Flags: "PA", Seq: 1}}
	}
	var server sync.WaitGroup
	server.Go(func() {
		_ = tls.Server(conn(b, "web", "client", 443, 40000), &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}).Handshake()
		_ = b.Close()
	})
	client := tls.Client(conn(a, "client", "web", 40000, 443), &tls.Config{RootCAs: roots, ServerName: "shop.test", MinVersion: version, MaxVersion: version})
	if err := client.Handshake(); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("the handshake: %v", err)
	}
	_ = a.Close()
	server.Wait()
	return said
}

// An alert comes with the certificate that it is about, where that is not encrypted.
func TestCertificateOfAnAlert(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		said := shake(t, version)
		a := read(t, func(b *plant.Bundle) {
			b.Wire = plant.NewWire("client", "web")
			for i, s := range said {
				b.Wire.TCP(time.Duration(i+1)*ms, s)
			}
		})
		var got []string
		for _, f := range a.Findings {
			if strings.HasPrefix(f.Title, "TLS ") {
				got = append(got, f.Title+" ("+f.Detail+")")
			}
		}
		want := "TLS alert bad certificate: client → web (of web: Certificate CN=shop.test,O=Shop, valid from 2020-01-02 03:04 UTC until 2021-01-02 03:04 UTC)"
		if version == tls.VersionTLS13 {
			want = ""
		}
		if strings.Join(got, "\n") != want {
			t.Errorf("%s: %q, want %q", tls.VersionName(version), got, want)
		}
	}
}
