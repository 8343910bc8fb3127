package names

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/miekg/dns"
)

// A resolver that says nothing does not keep a server from closing.
func TestNobodyWaitsForAResolverWhenTheServerCloses(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := exchange(ctx, "udp", silent.LocalAddr().String(), question("example.org", dns.TypeA))
		done <- err
	}()
	if _, _, err := silent.ReadFrom(make([]byte, 512)); err != nil { // the control: it was asked
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want the error of a closed connection, and none of a time that is over", err)
	}
}
