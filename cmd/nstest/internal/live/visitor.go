package live

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// refusal says why somebody may not read the page, which shows what tests have logged: the user whose they are.
//
// A page elsewhere in the browser may not: its requests say that they come from there, and what it has had its own name resolved to has
// that name in Host. Another user of the machine may not: the kernel tells whose a connection over loopback is. An address that is no loopback
// address was asked for, and is for everybody who reaches it.
func refusal(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	own, _ := os.Hostname() // without one there is one name less
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return "the page is only to be read"
	case err != nil && !strings.EqualFold(host, "localhost") && !strings.EqualFold(host, own):
		return "the page is not at this name: use its address, or localhost"
	case site != "" && site != "same-origin" && site != "none" && r.Header.Get("Sec-Fetch-Mode") != "navigate":
		return "the page is not for other pages"
	}
	if uid, known := r.Context().Value(visitorKey{}).(visitor); known && !uid.allowed() {
		return "the page is for the user who runs the tests"
	}
	return ""
}

// visitorKey is where the visitor of a connection over loopback is in a request's context.
type visitorKey struct{}

// A visitor is whose the other end of a connection is: a user, or -1 if nobody knows.
type visitor int

func (v visitor) allowed() bool {
	uids := []int{0, os.Geteuid()}
	if n, err := strconv.Atoi(os.Getenv("SUDO_UID")); err == nil && os.Geteuid() == 0 {
		uids = append(uids, n)
	}
	return slices.Contains(uids, int(v))
}

// visitorOf is whose the other end of a connection over loopback is; others have none.
func visitorOf(c net.Conn) (v visitor, local bool) {
	there, ok := c.RemoteAddr().(*net.TCPAddr)
	here, ok2 := c.LocalAddr().(*net.TCPAddr)
	if !ok || !ok2 || !there.IP.IsLoopback() {
		return 0, false
	}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		if uid, err := ownerIn(table, there.AddrPort(), here.AddrPort()); err == nil {
			return visitor(uid), true
		}
	}
	return -1, true
}

// ownerIn finds the owner of a socket in a table of proc(5).
func ownerIn(table string, local, remote netip.AddrPort) (uid int, err error) {
	f, err := os.Open(table)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	wide := strings.HasSuffix(table, "6")
	want := inTable(local, wide) + " " + inTable(remote, wide)
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) > 9 && fields[1]+" "+fields[2] == want && fields[9] != "0" { // one without an inode is nobody's any more
			return strconv.Atoi(fields[7])
		}
	}
	return 0, fmt.Errorf("no connection from %s to %s", local, remote)
}

// inTable is an address as the tables have it: words in the order of the machine's bytes.
func inTable(a netip.AddrPort, wide bool) string {
	var b []byte
	if ip := a.Addr().Unmap(); ip.Is4() && !wide {
		v := ip.As4()
		b = v[:]
	} else {
		v := a.Addr().As16()
		b = v[:]
	}
	for w := b; len(w) > 0; w = w[4:] {
		binary.NativeEndian.PutUint32(w, binary.BigEndian.Uint32(w))
	}
	return strings.ToUpper(hex.EncodeToString(b)) + fmt.Sprintf(":%04X", a.Port())
}
