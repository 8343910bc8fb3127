package nstest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// packets are the payloads of the UDP packets to a port in a capture that is whole, by the interfaces where they were seen.
func packets(t *testing.T, path string, port uint16) (list []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	le, be := binary.LittleEndian, binary.BigEndian
	var interfaces []string
	for i := 0; len(text) > 0; i++ {
		if len(text) < 12 || int(le.Uint32(text[4:])) > len(text) {
			t.Fatalf("%s: the last block is cut", path)
		}
		block := text[:le.Uint32(text[4:])]
		text = text[len(block):]
		kind := le.Uint32(block)
		if (kind == 0x0a0d0d0a) != (i == 0) || le.Uint32(block[len(block)-4:]) != uint32(len(block)) {
			t.Fatalf("%s: block %d of kind %d, %d bytes", path, i, kind, len(block))
		}
		switch kind {
		case 1: // the interface's description begins with its name
			interfaces = append(interfaces, string(block[20:][:le.Uint16(block[18:])]))
		case 6:
			frame := block[28:][:le.Uint32(block[20:])]
			if len(frame) > 42 && be.Uint16(frame[12:]) == 0x800 && frame[23] == 17 && be.Uint16(frame[36:]) == port {
				list = append(list, interfaces[le.Uint32(block[8:])]+" "+strings.TrimRight(string(frame[42:]), " "))
			}
		}
	}
	return list
}

func TestRecordOfPackets(t *testing.T) {
	dir := t.TempDir()
	env, err := Open(context.Background(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	const size = 64 << 10
	recorded(t, env, dir, wire.RecordParams{Limit: 1 << 20, Packets: size})
	var hosts [2]*Host
	for i, name := range []string{"a", "b"} {
		if hosts[i], err = env.AddHost(HostConfig{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	const key = "LABEL 00 00\n"
	if _, err := io.WriteString(env.KeyLogWriter(), key); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 300 {
		sendTo(t, hosts[0], hosts[1], fmt.Sprintf("%-1000d", i))
		want = append(want, fmt.Sprint("a/eth0 ", i), fmt.Sprint("b/eth0 ", i))
	}
	if _, err := env.AddNetwork(NetworkConfig{Name: "later", NoIPv6: true}); err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		if _, err := h.AddLink(Attachment{Network: "later"}); err != nil {
			t.Fatal(err)
		}
	}
	later := hosts[1].Link("later").Addrs()[0]
	conn, err := hosts[0].DialContext(context.Background(), "udp4", net.JoinHostPort(later.String(), "5000"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("last")); err != nil {
		t.Fatal(err)
	}
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}

	var got [2][]string
	var other []string // each switch has an order of its own
	for i := range got {
		for _, p := range packets(t, filepath.Join(dir, fmt.Sprint("ring", i)), 5000) {
			if strings.HasSuffix(p, " last") {
				other = append(other, p)
			} else {
				got[i] = append(got[i], p)
			}
		}
	}
	if last := len(got[0]) - 1; last >= 0 && got[0][last] == "b/eth0 299" {
		slices.Reverse(got[:])
	}
	all := slices.Concat(got[:]...)
	if !slices.Equal(other, []string{"a/eth1 last", "b/eth1 last"}) {
		t.Errorf("on the other switch: %q", other)
	}
	if len(all) < size/2/1100 || len(all) > 2*size/1000 || len(got[0]) < size/2/1100 || !slices.Equal(all, want[len(want)-len(all):]) {
		t.Errorf("got %d and %d packets: %v", len(got[0]), len(got[1]), got)
	}
	for _, name := range []string{"ring0", "ring1"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || len(text) > size || !bytes.Contains(text, []byte(key)) {
			t.Errorf("%d bytes, %v", len(text), err)
		}
	}
}

// What was recorded of one environment is in no other record, though the next one uses the same switch.
func TestRecordsShareNoPackets(t *testing.T) {
	for round := range 5 {
		dir := t.TempDir()
		env, err := Open(context.Background(), Config{Network: NetworkConfig{NoIPv6: true}})
		if err != nil {
			t.Fatal(err)
		}
		defer env.Close()
		web, err := env.AddHost(HostConfig{Name: "web"})
		if err != nil {
			t.Fatal(err)
		}
		send := func(text string) { t.Helper(); sendTo(t, web, env.Self(), text) }
		send("before")
		recorded(t, env, dir, wire.RecordParams{Limit: 1 << 20, Packets: 1 << 20})
		send(fmt.Sprint("round ", round))
		if err := env.Close(); err != nil {
			t.Fatal(err)
		}
		want := []string{fmt.Sprint("web/eth0 round ", round), fmt.Sprint("self/eth0 round ", round)}
		if got := packets(t, filepath.Join(dir, "ring0"), 5000); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := packets(t, filepath.Join(dir, "ring1"), 5000); len(got) != 0 {
			t.Errorf("in the other file: %q", got)
		}
	}
}

// sendTo sends a packet from a host to port 5000 of another, where nobody needs to listen.
func sendTo(t *testing.T, from, to *Host, text string) {
	t.Helper()
	conn, err := from.DialContext(context.Background(), "udp4", net.JoinHostPort(to.Addr().String(), "5000"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}
