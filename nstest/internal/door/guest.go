package door

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

var (
	// ErrGone means that there is no keeper behind a door any more.
	ErrGone = errors.New("the keeper has ended")
	// ErrOutside means that behind a door is something else than a keeper of a program in this process's PID namespace.
	ErrOutside = errors.New("it is not a keeper of a program in this PID namespace")
)

// Find names the doors of the network namespace that this process is in, also of other users'.
func Find() ([]string, error) {
	b, err := os.ReadFile("/proc/self/net/unix")
	if err != nil {
		return nil, fmt.Errorf("list sockets: %w", err)
	}
	var list []string
	for line := range strings.Lines(string(b)) {
		const listening = "00010000" // __SO_ACCEPTCON: not one of the connections, which have the same name
		f := strings.Fields(line)    // address, references, protocol, flags, type, state, inode, path
		if len(f) != 8 || f[3] != listening {
			continue
		}
		name, abstract := strings.CutPrefix(f[7], "@")
		if _, ok := program(name); ok && abstract {
			list = append(list, name)
		}
	}
	return list, nil
}

// A Guest is the client's side of a door.
type Guest struct {
	UID     int // the keeper's user
	Keeper  int // its process id
	Program int // that of the program that started it

	client *wire.Client
	pids   *os.File
	stop   func() bool
}

// A Foreigner is the error about a keeper of another user's.
type Foreigner struct {
	UID     int
	Program int
}

func (f *Foreigner) Error() string { return fmt.Sprintf("it is user %d's", f.UID) }

// Is makes it an fs.ErrPermission.
func (f *Foreigner) Is(target error) bool { return target == fs.ErrPermission }

// Knock connects to a keeper that this user may talk to, and that is what it seems to be. The connection ends with ctx; the
// caller closes it. The error is ErrGone, a *Foreigner, or what is wrong.
func Knock(ctx context.Context, name string) (*Guest, error) {
	conn, peer, err := dial(ctx, name, os.Geteuid())
	if err != nil {
		return nil, err
	}
	g := &Guest{UID: int(peer.Uid), Keeper: int(peer.Pid)}
	if g.Program, err = parentOf(g.Keeper); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if claimed, _ := program(name); claimed != g.Program {
		return nil, errors.Join(ErrOutside, conn.Close())
	}
	if g.UID != os.Geteuid() {
		_ = conn.Close()
		if os.Geteuid() != 0 {
			return nil, &Foreigner{g.UID, g.Program}
		}
		if conn, err = dialAs(ctx, name, g); err != nil {
			return nil, err
		}
	}
	if g.pids, err = pidNamespace(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if g.client, err = wire.NewClient(conn); err != nil {
		return nil, errors.Join(err, g.pids.Close())
	}
	g.stop = context.AfterFunc(ctx, func() { _ = g.client.Close() })
	return g, nil
}

// dialAs is dial as the keeper's user: nobody else gets an answer.
func dialAs(ctx context.Context, name string, g *Guest) (conn *os.File, err error) {
	var peer *unix.Ucred
	if err := ns.AsUser(g.UID, func() error {
		conn, peer, err = dial(ctx, name, g.UID)
		return err
	}); err != nil {
		return nil, err
	}
	if int(peer.Uid) != g.UID || int(peer.Pid) != g.Keeper {
		return nil, errors.Join(ErrGone, conn.Close())
	}
	return conn, nil
}

// dial connects, and tells who listens.
func dial(ctx context.Context, name string, uid int) (*os.File, *unix.Ucred, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to keeper: %w", err)
	}
	for {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: "@" + name})
		if !errors.Is(err, unix.EAGAIN) || ctx.Err() != nil {
			break
		}
		select { // as many wait to be heard as may
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
	var peer *unix.Ucred
	if err == nil {
		peer, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	}
	if err != nil {
		_ = unix.Close(fd)
		if errors.Is(err, unix.ECONNREFUSED) {
			err = ErrGone
		}
		return nil, nil, fmt.Errorf("connect to keeper as user %d: %w", uid, err)
	}
	return os.NewFile(uintptr(fd), "keeper"), peer, nil
}

// parentOf is the process that has started a keeper. It is an error if pid is no keeper's: the first process of a PID
// namespace directly below this process's, which nobody can make who is inside of one.
func parentOf(pid int) (int, error) {
	own, err := status("self")
	if err != nil {
		return 0, err
	}
	keepers, err := status(strconv.Itoa(pid))
	switch {
	case errors.Is(err, fs.ErrNotExist) && pid > 0:
		return 0, ErrGone
	case err != nil || pid <= 0:
		return 0, ErrOutside
	}
	ids := strings.Fields(keepers["NSpid"])
	if len(ids) != len(strings.Fields(own["NSpid"]))+1 || ids[len(ids)-1] != "1" {
		return 0, ErrOutside
	}
	return strconv.Atoi(keepers["PPid"])
}

// status are the fields of /proc/PID/status.
func status(pid string) (map[string]string, error) {
	b, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = strings.TrimSpace(value)
		}
	}
	return fields, nil
}

// Call asks the keeper something.
func (g *Guest) Call(ctx context.Context, method string, params, result any) ([]*os.File, error) {
	files, err := g.client.Call(ctx, method, params, result, g.pids)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return files, err
}

// Close hangs up.
func (g *Guest) Close() {
	g.stop()
	_ = g.client.Close()
	_ = g.pids.Close()
}
