package door

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

const (
	backlog = 16

	// A guest is answered at a time by so many, for so long: who wants to stay gets a connection of its own.
	maxGuests = 16
	visit     = 10 * time.Second
	silence   = time.Second // before the first question, where no other guest has room
)

// A Keeper is the server's side of a door.
type Keeper struct {
	Program int // the process id of the program, as it sees itself

	raw interface {
		Read(func(fd uintptr) bool) error
	}
	pids   unix.Stat_t
	guests chan struct{}
	full   atomic.Bool // there is no place for another guest

	silence time.Duration // the constant; shorter in tests
}

// Open begins to listen. Everything is close-on-exec then; d is taken over.
func (d Door) Open() (*Keeper, error) {
	defer d.PIDs.Close()
	k := &Keeper{guests: make(chan struct{}, maxGuests), silence: silence}
	if err := k.open(d); err != nil {
		_ = d.Socket.Close()
		return nil, fmt.Errorf("open the keeper's door: %w", err)
	}
	return k, nil
}

func (k *Keeper) open(d Door) error {
	if err := unix.Fstat(int(d.PIDs.Fd()), &k.pids); err != nil {
		return err
	}
	raw, err := d.Socket.SyscallConn()
	if err != nil {
		return err
	}
	k.raw = raw
	cerr := raw.Control(func(fd uintptr) {
		unix.CloseOnExec(int(fd))
		var name unix.Sockaddr
		if name, err = unix.Getsockname(int(fd)); err != nil {
			return
		}
		if u, ok := name.(*unix.SockaddrUnix); ok {
			k.Program, _ = program(strings.TrimPrefix(u.Name, "@"))
		}
		err = unix.Listen(int(fd), backlog)
	})
	return errors.Join(cerr, err)
}

// ID is how people name an environment with this number.
func (k *Keeper) ID(number int) string {
	return strconv.Itoa(k.Program) + "." + strconv.Itoa(number)
}

// Serve has handle answer whoever may ask, for as long as the process lives.
func (k *Keeper) Serve(handle wire.Handler) {
	for {
		k.makeRoom() // those who come before there is some wait in the kernel's queue
		var fd int
		var err error
		if rerr := k.raw.Read(func(door uintptr) bool {
			fd, _, err = unix.Accept4(int(door), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			return !errors.Is(err, unix.EAGAIN)
		}); rerr != nil {
			return
		}
		if err == nil && k.admit(os.NewFile(uintptr(fd), "guest"), handle) {
			continue
		}
		<-k.guests
		switch {
		case err == nil:
		case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ENOBUFS):
			time.Sleep(pause) // until something is closed
		case !errors.Is(err, unix.ECONNABORTED) && !errors.Is(err, unix.EINTR):
			return
		}
	}
}

// makeRoom takes the place of a guest, when there is one.
func (k *Keeper) makeRoom() {
	select {
	case k.guests <- struct{}{}:
	default:
		k.full.Store(true)
		k.guests <- struct{}{}
		k.full.Store(false)
	}
}

const pause = 100 * time.Millisecond

// admit answers a guest in the background, and then gives its place back, if it is the owner. It reports whether it is.
func (k *Keeper) admit(guest *os.File, handle wire.Handler) bool {
	if !isOwner(guest) {
		_ = guest.Close()
		return false
	}
	go func() {
		defer func() { <-k.guests }()
		ctx, cancel := context.WithTimeout(context.Background(), visit)
		defer cancel()
		silent, asked := context.WithCancel(ctx)
		defer asked()
		go k.watch(silent, cancel)
		// What a guest does wrong is the guest's affair.
		_ = wire.Serve(ctx, guest, func(ctx context.Context, req *wire.Request) (wire.Reply, error) {
			asked()
			if !k.isOutside(req.Files) {
				return wire.Reply{}, &wire.Error{Op: req.Method, Errno: uint32(unix.EPERM), Message: "the caller is in another PID namespace than the program whose environments these are"}
			}
			return handle(ctx, req)
		})
	}()
	return true
}

// watch calls hangUp when a guest has been silent for too long, and takes the room that others need. One that is slow to ask,
// as everybody is on a busy machine, disturbs nobody. ctx ends with the first question, or the visit.
func (k *Keeper) watch(ctx context.Context, hangUp func()) {
	tick := time.NewTicker(k.silence)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if k.full.Load() {
				hangUp()
				return
			}
		}
	}
}

// isOwner reports whether a guest is surely the user who runs this keeper, or root where that can be told. A keeper in a user
// namespace of its own is that namespace's root; whoever is not mapped into it seems to be the overflow user.
func isOwner(guest *os.File) bool {
	peer, err := credentials(guest)
	if err != nil {
		return false
	}
	uid := int(peer.Uid)
	return uid == 0 || uid == os.Geteuid() && !isOverflow(uid)
}

func credentials(conn *os.File) (peer *unix.Ucred, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	if cerr := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); cerr != nil {
		return nil, cerr
	}
	return peer, err
}

// isOverflow reports whether the kernel may call users so that it has no other name for.
func isOverflow(uid int) bool {
	b, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	n, perr := strconv.Atoi(strings.TrimSpace(string(b)))
	return err != nil || perr != nil || uid == n || uid == math.MaxUint32
}

// isOutside reports whether the one file is the PID namespace of the program.
func (k *Keeper) isOutside(files []*os.File) bool {
	if len(files) != 1 {
		return false
	}
	raw, err := files[0].SyscallConn()
	if err != nil {
		return false
	}
	var st unix.Stat_t
	if cerr := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &st) }); cerr != nil || err != nil {
		return false
	}
	return st.Dev == k.pids.Dev && st.Ino == k.pids.Ino
}
