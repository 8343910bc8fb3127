package nstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/census"
	"github.com/hermetic-go/nstest/nstest/internal/keeper"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// An Env is a hermetic environment: namespaces of its own, with a first host, Self, and as many further hosts and
// networks as wanted. Its methods may be called from any goroutine.
//
// Close ends it. So does the end of the program, however that comes about: nothing of an environment outlives it.
type Env struct {
	name   string
	guest  bool // another program's, from Attach
	conn   *wire.Client
	keeper *keeper.Keeper
	leave  func() // takes the environment out of the census
	tb     TB     // nil for an environment from Open
	self   *Host
	info   wire.OpenResult

	held     sync.Map // the tests after whose failure somebody was asked to look at it
	mu       sync.Mutex
	hosts    map[string]*Host
	removed  map[string]uint64 // the numbers of the last ones of these names
	routers  map[string]*Router
	networks map[string]*Network
	closed   atomic.Bool
	once     sync.Once
	closeErr error
}

// Open makes an environment. ctx bounds the construction only; when it ends early, or anything fails, all that was made
// is undone before Open returns. The caller closes the environment.
//
// It works as root, as an ordinary user where the machine allows user namespaces, and inside another environment. The
// error says what the machine lacks and what to do about it; it is an *Error.
//
// Who asks for the same again and again, but for the name, gets environments that were made ahead, in the background, while
// the ones before were at work. They cannot be told from others.
func Open(ctx context.Context, cfg Config) (*Env, error) {
	env, err := open(ctx, cfg, nil)
	if err != nil {
		return nil, wrap("open environment", cfg.Name, "", err)
	}
	return env, nil
}

// New is Open for a test: it fails the test on error, and closes the environment at the test's end. Hosts and networks
// that are asked for by name are made on first use. With NSTEST_HOLD=1 one of a test that has failed waits before it is closed,
// as described at Run.
func New(tb TB, cfg Config) *Env {
	tb.Helper()
	if cfg.Name == "" {
		cfg.Name = tb.Name()
	}
	asked := time.Now()
	env, err := open(context.Background(), cfg, tb)
	if err != nil {
		tb.Fatalf("%v", wrap("open environment", cfg.Name, "", err))
		return nil
	}
	rec := newRecording(env, asked)
	tb.Cleanup(func() {
		tb.Helper()
		rec.lookAt(tb)
		env.holdFor(tb)
		if err := errors.Join(env.Close(), rec.End(nil)); err != nil {
			tb.Errorf("%v", err)
		}
	})
	if err := rec.beginFor(tb, cfg.Name); err != nil {
		tb.Fatalf("%v", err)
	}
	return env
}

func open(ctx context.Context, cfg Config, tb TB) (*Env, error) {
	params, err := cfg.params(ctx)
	if err != nil {
		return nil, err
	}
	params.Kind = "open"
	if tb != nil {
		params.Kind = "new"
	}
	env, _, err := openWith(ctx, params, tb)
	return env, err
}

// openWith is open for checked parameters. It returns the connection for a process inside too, if they ask for one.
func openWith(ctx context.Context, params wire.OpenParams, tb TB) (_ *Env, inside *os.File, err error) {
	if hook := openHook.Load(); hook != nil {
		(*hook)(&params)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	k, leave, err := theKeeper(ctx, params.Name)
	if errors.Is(err, wire.ErrClosed) {
		return nil, nil, &keeperDied{"somebody has killed it while it was starting"}
	}
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			leave()
		}
	}()
	var info wire.OpenResult
	files, err := k.Call(ctx, wire.MethodOpen, params, &info)
	if err != nil {
		return nil, nil, complained(k, err)
	}
	wanted := 1
	if params.Attached {
		wanted = 2
	}
	if len(files) != wanted {
		return nil, nil, errors.Join(errors.New("the keeper answered without a connection"), closeAll(files))
	}
	conn, err := wire.NewClient(files[0])
	if err != nil {
		return nil, nil, errors.Join(err, closeAll(files[1:]))
	}
	e := newEnv(conn, info, tb)
	e.keeper, e.leave = k, leave
	if params.Attached {
		inside = files[1]
	}
	return e, inside, nil
}

// newEnv is the environment at the other end of conn, of which the keeper has told this.
func newEnv(conn *wire.Client, info wire.OpenResult, tb TB) *Env {
	e := &Env{
		name: info.Name, conn: conn, info: info, leave: func() {}, tb: tb,
		hosts: map[string]*Host{}, removed: map[string]uint64{}, routers: map[string]*Router{}, networks: map[string]*Network{},
	}
	e.self = newHost(e, info.Self)
	e.hosts["self"] = e.self
	if n := info.Network; n.Name != "" {
		e.networks[n.Name] = newNetwork(e, n)
	}
	return e
}

// openHook lets tests make a step of the construction fail.
var openHook atomic.Pointer[func(*wire.OpenParams)]

// complained is the error of a connection to the keeper that broke, with the keeper's last words.
func complained(k *keeper.Keeper, err error) error {
	if errors.Is(err, wire.ErrClosed) {
		return &keeperDied{k.Complaint()}
	}
	return err
}

func closeAll(files []*os.File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// keepers is the keeper of this program. One that has died is replaced at the next Open.
var keepers struct {
	sync.Mutex
	current *keeper.Keeper
}

// theKeeper is the keeper for an environment with this name, which the census counts until leave is called.
func theKeeper(ctx context.Context, name string) (k *keeper.Keeper, leave func(), err error) {
	keepers.Lock()
	defer keepers.Unlock()
	if !(keeping{}).running() {
		if k := keepers.current; k != nil {
			_ = k.Stop()
			keepers.current = nil
		}
		if keepers.current, err = keeper.Start(ctx); err != nil {
			return nil, nil, err
		}
		census.SetKeeper(keeping{})
	}
	return keepers.current, census.Enter(name, 2), nil
}

// keeping is the keeper for package leaks.
type keeping struct{}

// Running is part of census.Keeper.
func (k keeping) Running() bool {
	keepers.Lock()
	defer keepers.Unlock()
	return k.running()
}

// running is Running for those who hold the lock.
func (keeping) running() bool {
	if keepers.current == nil {
		return false
	}
	select {
	case <-keepers.current.Done():
		return false
	default:
		return true
	}
}

// StopIdle is part of census.Keeper.
func (keeping) StopIdle() error {
	keepers.Lock()
	defer keepers.Unlock()
	if keepers.current == nil || len(census.Entries()) > 0 {
		return nil
	}
	k := keepers.current
	keepers.current = nil
	return k.Stop()
}

// trimLimit bounds the wait for a keeper that somebody has stopped.
const trimLimit = 2 * time.Second

// Trim is part of census.Keeper.
func (k keeping) Trim() error {
	keepers.Lock()
	defer keepers.Unlock()
	if !k.running() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), trimLimit)
	defer cancel()
	_, err := keepers.current.Call(ctx, wire.MethodTrim, struct{}{}, nil)
	return err
}

// Close ends every process of the environment and takes everything apart. It tries everything and joins the errors. It
// may be called more than once and on a nil Env; later calls return what the first did.
func (e *Env) Close() error {
	if e == nil {
		return nil
	}
	e.once.Do(func() {
		e.closed.Store(true)
		defer e.leave()
		served := e.endServings()
		_, err := e.conn.Call(context.Background(), wire.MethodClose, struct{}{}, nil)
		if errors.Is(err, wire.ErrClosed) {
			err = nil // the keeper has ended, and the environment with it
		}
		e.closeErr = wrap("close environment", e.name, "", errors.Join(served, err, e.conn.Close()))
	})
	return e.closeErr
}

// Name is the name from the Config.
func (e *Env) Name() string { return e.name }

// ID is what List and the command line call the environment as long as it lives: the process id of the program that has made
// it, a period, and a number.
func (e *Env) ID() string { return e.info.ID }

// Self is the environment's own host; its name in DNS is "self".
func (e *Env) Self() *Host { return e.self }

// Rootless reports whether the environment was made without root, so that its ids are the user's own.
func (e *Env) Rootless() bool { return e.info.Rootless }

// rootID is what the environment's root is outside.
func (e *Env) rootID() int {
	for _, r := range e.info.IDs {
		if r.Inside == 0 {
			return r.Outside
		}
	}
	return 0
}

// Host is the host with this name. In an environment of a test it is made on first use, on the first network, and the
// test fails if that is impossible. In an environment from Open it must exist: Host panics otherwise, as a program has
// to handle the error of AddHost.
func (e *Env) Host(name string) *Host {
	e.mu.Lock()
	h := e.hosts[strings.ToLower(name)]
	e.mu.Unlock()
	if h != nil {
		return h
	}
	if e.guest {
		h, err := e.findHost(name)
		if err != nil {
			panic(err.Error())
		}
		return h
	}
	if e.tb == nil {
		panic(fmt.Sprintf("nstest: environment %s has no host %q: make it with AddHost", e.name, name))
	}
	e.tb.Helper()
	h, err := e.AddHost(HostConfig{Name: name})
	if errors.Is(err, errExists) { // somebody else has made it, or does so now; unless the name is reserved
		if found, findErr := e.findHost(name); findErr == nil {
			return found
		}
	}
	if err != nil {
		e.tb.Fatalf("%v", err)
	}
	return h
}

// FindHost is the host with this name, whoever has made it. It waits for one that is being made.
func (e *Env) FindHost(name string) (*Host, error) {
	e.mu.Lock()
	h := e.hosts[strings.ToLower(name)]
	e.mu.Unlock()
	if h != nil && !e.guest { // others may have removed it
		return h, nil
	}
	return e.findHost(name)
}

// findHost looks up a host that somebody else has added: another goroutine or process, or the keeper itself.
func (e *Env) findHost(name string) (*Host, error) {
	var r wire.HostResult
	if err := e.call(context.Background(), wire.MethodFindHost, wire.JoinParams{Host: name}, &r); err != nil {
		return nil, wrap("find host", e.name, name, err)
	}
	return e.known(r), nil
}

// Hosts are all hosts that there are now, whoever has made them: Self first, then the others by name, routers among them. There
// are none once the environment is closed.
func (e *Env) Hosts() (list []*Host) {
	for _, r := range e.inventory().Hosts {
		list = append(list, e.known(r))
	}
	return list
}

// inventory is what the keeper knows of, nothing if it cannot be asked.
func (e *Env) inventory() (r wire.InventoryResult) {
	if e.call(context.Background(), wire.MethodInventory, struct{}{}, &r) != nil {
		return wire.InventoryResult{}
	}
	return r
}

// known is the one Host for what the keeper has told. Meanwhile the host may have been removed, and made again.
func (e *Env) known(r wire.HostResult) *Host {
	k := strings.ToLower(r.Name)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch h := e.hosts[k]; {
	case h != nil && h.number >= r.Number:
		return h
	case r.Number <= e.removed[k]:
		return newHost(e, r)
	}
	e.hosts[k] = newHost(e, r)
	return e.hosts[k]
}

// AddHost makes a host and plugs it in. It is ready when AddHost returns: its name resolves everywhere in the
// environment, and the first packet arrives.
func (e *Env) AddHost(cfg HostConfig) (*Host, error) {
	params, err := cfg.params(context.Background())
	if err != nil {
		return nil, wrap("add host", e.name, cfg.Name, err)
	}
	h, err := e.makeHost(cfg.Name, wire.MethodHost, params)
	if err != nil {
		return nil, wrap("add host", e.name, cfg.Name, err)
	}
	return h, nil
}

// makeHost has the keeper make a host. A goroutine that asks for it by name may find it before the keeper's answer is read
// here: then it is that one's, as there is one Host for each host.
func (e *Env) makeHost(name, method string, params any) (*Host, error) {
	k := strings.ToLower(name)
	e.mu.Lock()
	before := e.hosts[k]
	e.mu.Unlock()
	var r wire.HostResult
	if err := e.call(context.Background(), method, params, &r); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if found := e.hosts[k]; found != nil && found != before {
		return found, nil
	}
	h := newHost(e, r)
	e.hosts[k] = h
	return h, nil
}

// RemoveHost ends a host: its processes are killed, its name and addresses are free. The environment's own host cannot
// be removed.
func (e *Env) RemoveHost(name string) error {
	if err := e.call(context.Background(), wire.MethodRemoveHost, wire.JoinParams{Host: name}, nil); err != nil {
		return wrap("remove host", e.name, name, err)
	}
	e.mu.Lock()
	k := strings.ToLower(name)
	h := e.hosts[k]
	delete(e.hosts, k)
	delete(e.routers, k)
	if h != nil {
		e.removed[k] = h.number
	}
	e.mu.Unlock()
	if h == nil {
		return nil
	}
	return wrap("remove host", e.name, name, h.endServings())
}

// call asks the keeper something about this environment.
func (e *Env) call(ctx context.Context, method string, params, result any) error {
	files, err := e.callFiles(ctx, method, params, result)
	return errors.Join(err, closeAll(files))
}

func (e *Env) callFiles(ctx context.Context, method string, params, result any, files ...*os.File) ([]*os.File, error) {
	if e.closed.Load() {
		return nil, ErrClosed
	}
	out, err := e.conn.Call(ctx, method, params, result, files...)
	return out, err
}
