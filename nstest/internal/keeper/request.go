package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// handle answers a request about the environment from a program on the machine, whose user is the keeper's.
func (e *environment) handle(ctx context.Context, req *wire.Request) (wire.Reply, error) {
	return e.carryOut(ctx, req, false)
}

// carryOut answers a request about the environment, from inside or not. Whoever holds the connection may be hostile: requests
// can name only what is the environment's, and files that come with them are given to processes inside and nothing else.
// Directories that are to be a root are those of who asks: where that is a process inside, the keeper itself looks at none.
func (e *environment) carryOut(ctx context.Context, req *wire.Request, inside bool) (_ wire.Reply, err error) {
	was := e.before(req)
	defer func() {
		if err == nil {
			e.recordChange(req, was)
		}
		err = e.whyGone(err)
	}()
	switch req.Method {
	case wire.MethodDescribe:
		return wire.Reply{Result: e.result()}, req.Decode(nil)
	case wire.MethodHost:
		return answer(req, func(p wire.HostParams) (any, []*os.File, error) {
			p.Inside = inside
			h, err := e.addHost(ctx, p)
			if err = e.whyGone(err); err != nil {
				return nil, nil, &wire.Error{Op: "add host", Host: p.Name, Message: err.Error(), Remedy: remedyOf(err), Errno: errnoOf(err), Kind: kindOf(err)}
			}
			return h.result(), nil, nil
		})
	case wire.MethodFindHost:
		return answer(req, func(p wire.JoinParams) (any, []*os.File, error) {
			h, err := e.await(ctx, p.Host)
			if err != nil {
				return nil, nil, err
			}
			return h.result(), nil, nil
		})
	case wire.MethodRemoveHost:
		return answer(req, func(p wire.JoinParams) (any, []*os.File, error) { return nil, nil, e.removeHost(p.Host) })
	case wire.MethodNetwork:
		return answer(req, func(p wire.NetworkParams) (any, []*os.File, error) {
			n, err := e.addNetwork(ctx, p)
			if err != nil {
				return nil, nil, err
			}
			e.declareNetwork(n, p)
			return only(e.findNetwork(n.name))
		})
	case wire.MethodFindNetwork:
		return answer(req, func(p wire.FindNetworkParams) (any, []*os.File, error) { return only(e.findNetwork(p.Network)) })
	case wire.MethodSpawn:
		defer e.next()
		return answer(req, func(p wire.SpawnParams) (any, []*os.File, error) { return noted(e.spawn(p, req.Files)) })
	case wire.MethodWait:
		return answer(req, func(p wire.ProcParams) (any, []*os.File, error) {
			r, err := e.wait(ctx, p.Proc)
			return r, nil, err
		})
	case wire.MethodSignal:
		return answer(req, func(p wire.SignalParams) (any, []*os.File, error) { return nil, nil, e.signal(p) })
	case wire.MethodSocket:
		return answer(req, func(p wire.SocketParams) (any, []*os.File, error) {
			f, err := e.socket(ctx, p)
			return nil, f, err
		})
	case wire.MethodJoin:
		return answer(req, func(p wire.JoinParams) (any, []*os.File, error) {
			f, err := e.join(p.Host)
			return nil, f, err
		})
	case wire.MethodLink:
		return answer(req, func(p wire.LinkParams) (any, []*os.File, error) { return nil, nil, e.link(ctx, p) })
	case wire.MethodAddLink:
		return answer(req, func(p wire.AddLinkParams) (any, []*os.File, error) { return only(e.addLink(ctx, p)) })
	case wire.MethodRemoveLink:
		return answer(req, func(p wire.LinkParams) (any, []*os.File, error) { return nil, nil, e.removeLink(p) })
	case wire.MethodMoveLink:
		return answer(req, func(p wire.MoveLinkParams) (any, []*os.File, error) { return only(e.moveLink(ctx, p)) })
	case wire.MethodRenewLink:
		return answer(req, func(p wire.RenewLinkParams) (any, []*os.File, error) { return only(e.renewLink(ctx, p)) })
	case wire.MethodLinkMTU:
		return answer(req, func(p wire.LinkMTUParams) (any, []*os.File, error) { return nil, nil, e.setLinkMTU(p) })
	case wire.MethodFlap:
		return answer(req, func(p wire.FlapParams) (any, []*os.File, error) { return only(e.flapLink(p)) })
	case wire.MethodRouter:
		return answer(req, func(p wire.RouterParams) (any, []*os.File, error) {
			p.Inside = inside
			return only(e.addRouter(ctx, p))
		})
	case wire.MethodRoute:
		return answer(req, func(p wire.RouteParams) (any, []*os.File, error) { return nil, nil, e.setRoute(p) })
	case wire.MethodRule:
		return answer(req, func(p wire.RuleParams) (any, []*os.File, error) { return nil, nil, e.setRule(p) })
	case wire.MethodNAT:
		return answer(req, func(p wire.NATParams) (any, []*os.File, error) {
			return nil, nil, e.declare(p.Host, e.setNAT(p), func(d *declared) { d.nat = p.NAT })
		})
	case wire.MethodNAT64:
		return answer(req, func(p wire.NAT64Params) (any, []*os.File, error) {
			return nil, nil, e.declare(p.Host, e.replaceNAT64(p), func(d *declared) { d.nat64 = p.NAT64 })
		})
	case wire.MethodAdvertise:
		return answer(req, func(p wire.AdvertiseParams) (any, []*os.File, error) {
			return nil, nil, e.declare(p.Host, e.advertise(p), func(d *declared) { d.advertise = p.Advertise })
		})
	case wire.MethodFirewall:
		return answer(req, func(p wire.FirewallParams) (any, []*os.File, error) {
			return nil, nil, e.declare(p.Host, e.setFirewall(p), func(d *declared) { d.setFirewall(p.Firewall) })
		})
	case wire.MethodDNS:
		return answer(req, func(p wire.DNSParams) (any, []*os.File, error) { return nil, nil, e.setDNS(p) })
	case wire.MethodRecords:
		return answer(req, func(p wire.RecordsParams) (any, []*os.File, error) { return nil, nil, e.amendDNS(p) })
	case wire.MethodQueries:
		return wire.Reply{Result: wire.QueriesResult{Queries: e.zone.Queries()}}, req.Decode(nil)
	case wire.MethodBorrow:
		return answer(req, func(p wire.BorrowParams) (any, []*os.File, error) { return only(e.borrow(p)) })
	case wire.MethodGiveBack:
		return answer(req, func(p wire.BorrowParams) (any, []*os.File, error) { return nil, nil, e.giveBack(p) })
	case wire.MethodCapture:
		return answer(req, func(p wire.CaptureParams) (any, []*os.File, error) {
			if len(req.Files) != 1 {
				return nil, nil, refuse(unix.EINVAL, "a capture needs one file, not %d", len(req.Files))
			}
			file := req.Files[0]
			req.Files = nil
			return only(e.capture(ctx, p, file))
		})
	case wire.MethodFlush:
		return answer(req, func(p wire.CaptureResult) (any, []*os.File, error) { return only(e.flushCapture(ctx, p.Capture)) })
	case wire.MethodStop:
		return answer(req, func(p wire.CaptureResult) (any, []*os.File, error) { return only(e.stopCapture(p.Capture)) })
	case wire.MethodKeyLog:
		return answer(req, func(p wire.KeyLogParams) (any, []*os.File, error) { return nil, nil, e.logKeys(p) })
	case wire.MethodRecord:
		return answer(req, func(p wire.RecordParams) (any, []*os.File, error) {
			files := req.Files
			req.Files = nil
			return nil, nil, e.beginRecord(ctx, p, files)
		})
	case wire.MethodRecordTo:
		files := req.Files
		req.Files = nil
		if err := req.Decode(nil); err != nil {
			return wire.Reply{}, errors.Join(err, closeAll(files))
		}
		return wire.Reply{}, e.recordTo(ctx, files)
	case wire.MethodState:
		if len(req.Files) != 1 {
			return wire.Reply{}, refuse(unix.EINVAL, "a state needs one file, not %d", len(req.Files))
		}
		file := req.Files[0]
		req.Files = nil
		if err := req.Decode(nil); err != nil {
			return wire.Reply{}, errors.Join(err, file.Close())
		}
		e.flushRecord(ctx)
		return wire.Reply{}, e.writeState(ctx, file)
	case wire.MethodOver:
		return answer(req, func(p wire.CaptureResult) (any, []*os.File, error) { return nil, nil, e.awaitCapture(ctx, p.Capture) })
	case wire.MethodTrunk:
		return answer(req, func(p wire.TrunkParams) (any, []*os.File, error) { return nil, nil, e.setTrunk(p) })
	case wire.MethodTopology:
		return answer(req, func(struct{}) (any, []*os.File, error) { return only(e.topology()) })
	case wire.MethodInventory:
		return answer(req, func(struct{}) (any, []*os.File, error) { return only(e.inventory()) })
	case wire.MethodPartition:
		return answer(req, func(p wire.PartitionParams) (any, []*os.File, error) {
			n, err := e.partition(p.Groups)
			return wire.PartitionResult{Fault: n}, nil, err
		})
	case wire.MethodHeal:
		return answer(req, func(p wire.HealParams) (any, []*os.File, error) { return nil, nil, e.heal(p.Fault) })
	case wire.MethodName:
		return answer(req, func(p wire.NameParams) (any, []*os.File, error) { return nil, nil, e.used(p) })
	case wire.MethodHold:
		return wire.Reply{}, errors.Join(req.Decode(nil), e.hold(ctx))
	case wire.MethodRelease:
		return wire.Reply{}, errors.Join(req.Decode(nil), e.letGo())
	case wire.MethodClose:
		return wire.Reply{}, e.close()
	}
	return wire.Reply{}, refuse(unix.ENOSYS, "unknown request %q", req.Method)
}

// connect makes a connection to the environment, on which handle answers until somebody hangs up; then end is called.
func (e *environment) connect(handle wire.Handler, end func()) (*os.File, error) {
	ours, theirs, err := wire.Pair()
	if err != nil {
		return nil, err
	}
	go func() {
		defer end()
		if err := wire.Serve(context.Background(), ours, handle); err != nil {
			fmt.Fprintf(os.Stderr, "keeper: environment %s: %v\n", e.name(), err)
		}
	}()
	return theirs, nil
}

// handleInside is handle for a process inside, with which the environment does not end.
func (e *environment) handleInside(ctx context.Context, req *wire.Request) (wire.Reply, error) {
	if req.Method == wire.MethodClose {
		return wire.Reply{}, refuse(unix.EPERM, "this environment ends with the process that it was made for")
	}
	switch req.Method {
	case wire.MethodBorrow:
		return answer(req, func(p wire.BorrowParams) (any, []*os.File, error) { return only(e.borrowInside(p)) })
	case wire.MethodName, wire.MethodHold, wire.MethodRelease, wire.MethodRecord, wire.MethodRecordTo:
		return wire.Reply{}, refuse(unix.EPERM, "%s is for whoever has made this environment", req.Method)
	}
	return e.carryOut(ctx, req, true)
}

// answer decodes the parameters of a request and carries it out.
func answer[P any](req *wire.Request, f func(P) (any, []*os.File, error)) (wire.Reply, error) {
	var params P
	if err := req.Decode(&params); err != nil {
		return wire.Reply{}, err
	}
	result, files, err := f(params)
	return wire.Reply{Result: result, Files: files}, err
}

// only is a result without files.
func only[R any](r R, err error) (any, []*os.File, error) { return r, nil, err }

func noted(r wire.SpawnResult, files []*os.File, err error) (any, []*os.File, error) {
	return r, files, err
}

// maxSockaddr is the size of struct sockaddr_storage.
const maxSockaddr = 128

// socket makes a socket inside a host. Nobody has it but whoever gets the reply: when he closes it, its port is free, at once
// or soon after: see portLimit.
func (e *environment) socket(ctx context.Context, s wire.SocketParams) ([]*os.File, error) {
	h, err := e.host(s.Host)
	if err != nil {
		return nil, err
	}
	switch {
	case s.Family != unix.AF_INET && s.Family != unix.AF_INET6 && s.Family != unix.AF_UNIX:
		return nil, &wire.Error{Step: "socket", Errno: uint32(unix.EAFNOSUPPORT)}
	case s.Type != unix.SOCK_STREAM && s.Type != unix.SOCK_DGRAM && s.Type != unix.SOCK_SEQPACKET:
		return nil, &wire.Error{Step: "socket", Errno: uint32(unix.ESOCKTNOSUPPORT)}
	case len(s.Bind) > maxSockaddr || len(s.Connect) > maxSockaddr || len(s.Connect) > 0 && s.Family != unix.AF_UNIX:
		return nil, &wire.Error{Step: "socket", Errno: uint32(unix.EINVAL)}
	}
	var p pid1.Program
	fd := p.Socket(s.Family, s.Type|unix.SOCK_NONBLOCK, s.Protocol)
	option := func(name string, level, opt int, value int32) {
		v := p.Bytes([]byte{byte(value), 0, 0, 0})
		p.Call("set "+name, unix.SYS_SETSOCKOPT, fd.Arg(), pid1.Int(level), pid1.Int(opt), v, pid1.Int(4))
	}
	if (s.Type == unix.SOCK_STREAM || s.Reuse) && s.Family != unix.AF_UNIX && s.Bind != nil {
		option("SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if s.Family == unix.AF_INET6 {
		only := int32(0)
		if s.V6Only {
			only = 1
		}
		option("IPV6_V6ONLY", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
	}
	if s.Bind != nil {
		p.BindSocket(fd, s.Bind)
	}
	if s.Listen > 0 {
		p.Call("listen", unix.SYS_LISTEN, fd.Arg(), pid1.Int(s.Listen))
	}
	if s.Connect != nil {
		p.Call("connect", unix.SYS_CONNECT, fd.Arg(), p.Bytes(s.Connect), pid1.Int(len(s.Connect)))
	}
	p.Return(fd)
	agent, err := h.awake()
	if err != nil {
		return nil, err
	}
	path := s.Family == unix.AF_UNIX && len(s.Bind) > 2 && s.Bind[2] != 0 // which stays when its socket is closed
	for end := time.Now().Add(portLimit); ; {
		files, err := alone(agent, &p)
		var ce *pid1.CallError
		switch {
		case !errors.As(err, &ce):
			return files, err
		case ce.Errno != unix.EADDRINUSE || path || time.Now().After(end):
			return nil, &wire.Error{Step: ce.Name, Errno: uint32(ce.Errno)}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// portLimit bounds the wait for a port that somebody has. His socket may be closed already: each process that we fork has a
// copy of our files until it executes the init, also of sockets that are on their way to their owners.
const portLimit = 200 * time.Millisecond

// alone runs p, and returns its files when the init has closed its own copies.
func alone(agent *pid1.Agent, p *pid1.Program) ([]*os.File, error) {
	made := agent.Begin(p)
	closed := agent.Begin(&pid1.Program{})
	files, err := made()
	_, gone := closed()
	if err == nil && gone != nil {
		return nil, errors.Join(gone, closeAll(files))
	}
	return files, err
}

// join opens the host's init for somebody who may enter its namespaces.
func (e *environment) join(name string) ([]*os.File, error) {
	h, err := e.host(name)
	if err != nil {
		return nil, err
	}
	agent, err := h.awake()
	if err != nil {
		return nil, err
	}
	agent.Listen() // whoever enters may start processes there
	pidfd := e.init.PIDFD
	if h.child != nil {
		pidfd = h.child.PIDFD
	}
	if ns.EndsWithin(int(pidfd.Fd()), 0) {
		return nil, pid1.ErrGone
	}
	fd, err := unix.FcntlInt(pidfd.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("join host %q: %w", name, err)
	}
	return []*os.File{os.NewFile(uintptr(fd), "pidfd")}, nil
}
