package nstest

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// unplugged is a host that exists in this program alone.
func unplugged() *Host { return &Host{name: "web", env: &Env{name: "env"}} }

func TestServerThatDoesNotEndIsNamed(t *testing.T) {
	defer func(d time.Duration) { serveLimit = d }(serveLimit)
	serveLimit = 10 * time.Millisecond
	h := unplugged()
	forever := make(chan struct{})
	defer close(forever)
	s := newServing(h, "tcp", &net.TCPAddr{Port: 9}, func() error { return nil })
	if _, err := s.start(func() error { <-forever; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := h.endServings(); err == nil || !strings.Contains(err.Error(), "serve tcp :9 on host web: it has not returned") {
		t.Errorf("got %v", err)
	}
	if _, err := newServing(h, "tcp", &net.TCPAddr{}, func() error { return nil }).start(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("on a host that has ended: %v", err)
	}
}

func TestSourceOfWhatIsNotPacketInformation(t *testing.T) {
	for _, oob := range [][]byte{nil, {1, 2, 3}, make([]byte, 64)} {
		if got := sourceOf(oob); got != nil {
			t.Errorf("%v: got %v", oob, got)
		}
	}
}
