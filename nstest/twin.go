package nstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/onsi/ginkgo/v2"

	"github.com/hermetic-go/nstest/nstest/internal/twin"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// specHostname is the hostname of what runs a spec or a test, and one of its names in DNS.
const specHostname = "spec"

// startTwin starts this program again in a new environment for a spec or test, for which plan says what it is to do. It is awaited
// if nothing else goes on until it is ready; beside a test others may. Where it cannot be started the error says why, and nothing
// is left.
func startTwin(ctx context.Context, kind string, awaited bool, cfg Config, plan func(*Env, *recording) twin.Plan) (*twin.Twin, error) {
	asked := time.Now()
	if cfg.Hostname == "" {
		cfg.Hostname = specHostname
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, wrap("start hermetic process", cfg.Name, "", err)
	}
	params, err := cfg.params(ctx)
	if err != nil {
		return nil, wrap("open environment", cfg.Name, "", err)
	}
	params.Attached, params.Awaited, params.Kind = true, awaited, kind
	env, inside, err := openWith(ctx, params, nil)
	if err != nil {
		return nil, wrap("open environment", cfg.Name, "", err)
	}
	rec := newRecording(env, asked)
	p := plan(env, rec)
	p.Connection, p.Environment, p.Recorder = inside, env, rec.recorder()
	l := &label{env: env}
	p.Named, p.At = l.name, l.at
	switch hint, wait := holding(); {
	case wait:
		p.Linger = func(ctx context.Context, test, message string) { env.hold(ctx, test, message, true) }
	case hint:
		p.Invite = func(test, message string) { env.hold(ctx, test, message, false) }
	}
	if twin.Attaching() {
		p.Hold = func(pid int) error { return awaitDebugger(ctx, pid) }
	}
	p.Start = func(args, environ []string, files []*os.File) (twin.Process, error) {
		cmd := env.Self().Command(exe)
		cmd.Args, cmd.Env = args, environ
		cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = files[0], files[1], files[2], files[3:]
		return (*twinProcess)(cmd), cmd.Start()
	}
	t, err := twin.Start(p)
	return t, wrap("start hermetic process", cfg.Name, "", err)
}

// twinProcess is a command as package twin wants it.
type twinProcess Cmd

func (p *twinProcess) Wait() (string, error) {
	err := (*Cmd)(p).Wait()
	var exit *ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	if p.ProcessState == nil {
		return "unknown", err
	}
	return p.ProcessState.String(), err
}

func (p *twinProcess) Signal(sig os.Signal) error { return p.Process.Signal(sig) }

func (p *twinProcess) Kill() error { return p.Process.Kill() }

func (p *twinProcess) HostPid() int { return p.Process.HostPid() }

// inherited is the environment that this process was started in as a twin.
var inherited = sync.OnceValues(func() (*Env, error) {
	conn, err := wire.NewClient(twin.This().Environment)
	if err != nil {
		return nil, fmt.Errorf("nstest: connect to the environment: %w", err)
	}
	var info wire.OpenResult
	if _, err := conn.Call(context.Background(), wire.MethodDescribe, nil, &info); err != nil {
		return nil, fmt.Errorf("nstest: describe the environment: %w", err)
	}
	return newEnv(conn, info, ginkgo.GinkgoTB()), nil
})
