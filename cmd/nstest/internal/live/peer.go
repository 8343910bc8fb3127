package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// A peer is a test's program, as long as it has its connection.
type peer struct {
	conn    *net.UnixConn
	scratch *scratch // the directory in memory; nil without one
	tests   map[int]*test
}

// maxMessage bounds a message, in bytes.
const maxMessage = 160 << 10

// greet reads the first message of a program of this user's, and returns the process with which its run ends.
func greet(conn *net.UnixConn) (p *peer, run *os.File, err error) {
	if err := ours(conn); err != nil {
		return nil, nil, err
	}
	buffer, rights := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(2*4))
	n, size, _, _, err := conn.ReadMsgUnix(buffer, rights)
	if err != nil {
		return nil, nil, err
	}
	files, err := received(rights[:size])
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			for _, f := range files {
				err = errors.Join(err, f.Close())
			}
		}
	}()
	var h hello
	if err := json.Unmarshal(buffer[:n], &h); err != nil {
		return nil, nil, err
	}
	want := 1
	if h.Scratch {
		want = 2
	}
	switch {
	case h.Version != version:
		return nil, nil, fmt.Errorf("the test has another version of nstest than the program that serves the page: install that of the test's module")
	case len(files) != want:
		return nil, nil, fmt.Errorf("%d files came, not %d", len(files), want)
	}
	p = &peer{conn: conn, tests: map[int]*test{}}
	if h.Scratch {
		p.scratch = &scratch{files[1], 1}
	}
	return p, files[0], nil
}

// ours is nil if the other end is this user's, or root's.
func ours(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return err
	}
	if cerr == nil && int(cred.Uid) != os.Geteuid() && cred.Uid != 0 {
		cerr = fmt.Errorf("the page is user %d's", os.Geteuid())
	}
	return cerr
}

func received(rights []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	for _, m := range messages {
		fds, perr := unix.ParseUnixRights(&m)
		err = errors.Join(err, perr)
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, err
}

// answer says where the page is, or why there is none for this program.
func answer(conn *net.UnixConn, w welcome) error {
	data, err := json.Marshal(w)
	if err != nil {
		return err
	}
	_, err = conn.Write(data)
	return err
}

// listen hears what the program says until it ends. Tests that it has not ended have died with it.
func (p *peer) listen(h *hub) {
	buffer := make([]byte, maxMessage)
	for {
		n, err := p.conn.Read(buffer)
		if err != nil || n == 0 {
			break
		}
		var m notice
		if json.Unmarshal(buffer[:n], &m) == nil {
			p.hear(h, m)
		}
	}
	for _, t := range p.tests {
		h.end(t, notice{State: "died", Message: "the test's program has ended before the test had"}, t.dir)
	}
	h.release(p.scratch)
}

func (p *peer) hear(h *hub, m notice) {
	dir, s := m.Path, (*scratch)(nil)
	if !filepath.IsAbs(dir) {
		if p.scratch == nil || !filepath.IsLocal(dir) {
			return
		}
		s = p.scratch
		dir = filepath.Join("/proc/self/fd", strconv.Itoa(int(s.dir.Fd())), dir)
	}
	t := p.tests[m.Number]
	switch {
	case t == nil && m.State == "running":
		p.tests[m.Number] = h.begin(m, dir, s)
	case t != nil && m.State != "running":
		delete(p.tests, m.Number)
		h.end(t, m, dir)
	}
}
