package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/door"
	"github.com/hermetic-go/nstest/nstest/internal/idmap"
	"github.com/hermetic-go/nstest/nstest/internal/lan"
	"github.com/hermetic-go/nstest/nstest/internal/rootfs"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// IsKeeper reports whether this process was started to be a keeper. An argument alone does not make one: it is PID 1
// and holds a unix socket whose other end is outside of its PID namespace.
func IsKeeper() bool {
	if len(os.Args) != 1 || os.Args[0] != argv0 || os.Getpid() != 1 {
		return false
	}
	peer, err := unix.GetsockoptUcred(controlFD, unix.SOL_SOCKET, unix.SO_PEERCRED)
	return err == nil && peer.Pid == 0
}

// Main is the keeper's whole life: it returns, with an exit status, when the program that started it has gone.
func Main() int {
	control := os.NewFile(controlFD, "control")
	entrance := door.Door{Socket: os.NewFile(doorFD, "door"), PIDs: os.NewFile(pidsFD, "pid namespace")}
	for _, fd := range []int{controlFD, doorFD, pidsFD} {
		unix.CloseOnExec(fd)
	}
	// The byte says that the id maps are written; without it, end of file says that our parent has died.
	var ok [1]byte
	for {
		n, err := unix.Read(controlFD, ok[:])
		if errors.Is(err, unix.EAGAIN) {
			if _, err := unix.Poll([]unix.PollFd{{Fd: controlFD, Events: unix.POLLIN}}, -1); err != nil && !errors.Is(err, unix.EINTR) {
				return 1
			}
			continue
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != 1 || ok[0] != ready {
			return 0
		}
		break
	}
	unix.Umask(0)
	s, err := newServer()
	if err == nil {
		err = closeInherited() // this needs the /proc that newServer has mounted
	}
	if err == nil {
		s.door, err = entrance.Open()
	}
	if err != nil {
		err = fmt.Errorf("start keeper: %w", err)
	} else {
		go s.door.Serve(s.answerGuest)
	}
	if serr := wire.Serve(context.Background(), control, func(ctx context.Context, req *wire.Request) (wire.Reply, error) {
		if err != nil {
			return wire.Reply{}, explained(err, step(err))
		}
		return s.handle(ctx, req)
	}); serr != nil {
		fmt.Fprintln(os.Stderr, "keeper:", serr)
		return 1
	}
	return 0
}

// closeInherited closes what the program had inherited and handed down without knowing, such as the writing end of a pipe
// for whose end its own parent waits. Everything that Go opens is close-on-exec, and so told from it.
func closeInherited() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list inherited files: %w", err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= controlFD {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
	return nil
}

// A server is the keeper from inside.
type server struct {
	machine *rootfs.Machine
	ids     idmap.Map // of the user namespace that the keeper is in
	shifted bool      // environments get leased ids, because ours are the machine's
	pool    *lan.Pool
	spare   spare
	sysctls []sysctl
	lending sync.Mutex   // held while a device of the machine changes hands
	leaving sync.RWMutex // read-locked for each root that is closed though its environment has ended
	null    *os.File     // /dev/null, the standard input, output and error of inits
	door    *door.Keeper
	list    list // of the environments that somebody has asked for
}

func newServer() (*server, error) {
	ids, err := idmap.Current()
	if err != nil {
		return nil, err
	}
	s := &server{ids: ids, shifted: ids.IsInitial(), pool: lan.NewPool(), sysctls: deviations()}
	if s.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	if s.machine, err = rootfs.Prepare(!s.shifted); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *server) handle(ctx context.Context, req *wire.Request) (wire.Reply, error) {
	switch req.Method {
	case wire.MethodOpen:
	case wire.MethodTrim:
		s.spare.drop()
		s.leaving.Lock() // nothing is left when this is answered
		defer s.leaving.Unlock()
		return wire.Reply{}, nil
	case wire.MethodScratch:
		return answer(req, func(p wire.ScratchParams) (any, []*os.File, error) {
			dir, err := rootfs.Memory(p.Size)
			return nil, []*os.File{dir}, err
		})
	default:
		return wire.Reply{}, &wire.Error{Op: req.Method, Message: "not a request for a keeper"}
	}
	var params wire.OpenParams
	if err := req.Decode(&params); err != nil {
		return wire.Reply{}, err
	}
	recipe := s.recipe(params)
	e := s.spare.take(recipe)
	if e == nil {
		var err error
		if e, err = s.open(ctx, params, 0); err != nil {
			return wire.Reply{}, err
		}
	}
	return e.serve(params, sync.OnceFunc(func() { s.restock(recipe, params) }))
}

// starting is about what a program of Go takes from its start to its first test.
const starting = 8 * time.Millisecond

// serve hands the environment to whoever has asked for one with these parameters. It calls next when there is time to
// make the next one.
func (e *environment) serve(params wire.OpenParams, next func()) (wire.Reply, error) {
	e.rename(params.Name, params.Kind)
	e.server.list.add(e)
	e.next = next
	if params.Awaited {
		e.next = func() { time.AfterFunc(starting, next) }
	}
	conn, err := e.connect(e.handle, func() {
		next()
		e.recall()
		e.closeLogged() // whoever held the connection is done with the environment
	})
	if err != nil {
		return wire.Reply{}, errors.Join(err, e.close())
	}
	files := []*os.File{conn}
	if !params.Attached {
		next()
		return wire.Reply{Result: e.result(), Files: files}, nil
	}
	// The next one can wait until the process has started, and if somebody waits for that, until it has come to what it is for:
	// until then both processors have enough to do.
	inside, err := e.connect(e.handleInside, func() {})
	if err != nil {
		return wire.Reply{}, errors.Join(err, conn.Close())
	}
	return wire.Reply{Result: e.result(), Files: append(files, inside)}, nil
}
