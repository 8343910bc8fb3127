package robustness

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
)

// held is how many environments a victim holds.
const held = 10

// occupy makes one environment with everything in it that may be hard to get rid of.
func occupy(ctx context.Context, name string) (*nstest.Env, error) {
	env, err := nstest.Open(ctx, nstest.Config{Name: name})
	if err != nil {
		return nil, err
	}
	web, err := env.AddHost(nstest.HostConfig{Name: "web"})
	if err != nil {
		return nil, errors.Join(err, env.Close())
	}
	l, err := web.Listen("tcp", ":80")
	if err != nil {
		return nil, errors.Join(err, env.Close())
	}
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
	if _, err := env.Self().DialContext(ctx, "tcp", "web:80"); err != nil {
		return nil, errors.Join(err, env.Close())
	}
	for _, h := range []*nstest.Host{env.Self(), web} {
		// Orphans in sessions of their own that ignore hang-ups; mounts, shared memory, and namespaces within namespaces.
		script := `
			setsid nohup sh -c 'sleep 1111 & sleep 2222' >/dev/null 2>&1 &
			mkdir -p /tmp/mnt && mount -t tmpfs inside /tmp/mnt
			echo shared > /dev/shm/left
			setsid nohup unshare --net --mount --pid --fork sleep 3333 >/dev/null 2>&1 &`
		if out, err := h.Command("sh", "-c", script).CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %s", err, out), env.Close())
		}
		c := h.Command("sleep", "4444")
		if err := c.Start(); err != nil {
			return nil, errors.Join(err, env.Close())
		}
	}
	return env, nil
}

// hold is the victim that holds environments. It says "ready", then "closed" when it is told that they have gone, and
// on the next line of input opens another one and says "reopened".
func hold() error {
	ctx := context.Background()
	var envs []*nstest.Env
	for i := range held {
		env, err := occupy(ctx, fmt.Sprint("victim", i))
		if err != nil {
			return err
		}
		envs = append(envs, env)
	}
	waiting := envs[0].Self().Command("sleep", "5555")
	if err := waiting.Start(); err != nil {
		return err
	}
	fmt.Println("ready")
	if err := waiting.Wait(); err == nil {
		return errors.New("a killed process has ended well")
	}
	for _, env := range envs {
		if _, err := env.AddHost(nstest.HostConfig{Name: "late"}); !errors.Is(err, nstest.ErrClosed) {
			return fmt.Errorf("add host without a keeper: want ErrClosed, got: %w", err)
		}
	}
	fmt.Println("closed")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	env, err := occupy(ctx, "again")
	if err != nil {
		return err
	}
	for _, e := range append(envs, env) {
		if err := e.Close(); err != nil {
			return err
		}
	}
	fmt.Println("reopened")
	return nil
}

// churn is the victim that opens and closes all the time. It says "churning", and "recovered" when an Open after the
// keeper's death succeeded.
func churn(cycle func() error) error {
	fmt.Println("churning")
	died, recovered := make(chan struct{}), make(chan struct{})
	var dead, again sync.Once
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	wg.Go(func() { // closing is no error when the keeper has died, and the others may all be at that
		if err := outlive(); errors.Is(err, nstest.ErrClosed) {
			dead.Do(func() { close(died) })
		} else {
			errs <- err
		}
	})
	for range 3 {
		wg.Go(func() {
			for {
				err := cycle()
				switch {
				case errors.Is(err, nstest.ErrClosed):
					dead.Do(func() { close(died) })
				case err != nil:
					errs <- err
					return
				default:
					select {
					case <-died:
						again.Do(func() { close(recovered) })
					default:
					}
				}
			}
		})
	}
	select {
	case err := <-errs:
		return err
	case <-recovered:
		fmt.Println("recovered")
	}
	select {
	case err := <-errs:
		return err
	case <-time.After(time.Minute):
		return errors.New("nobody has killed the victim")
	}
}

// outlive runs a command that ends only with the keeper, and returns ErrClosed then.
func outlive() error {
	env, err := nstest.Open(context.Background(), nstest.Config{Name: "outlive"})
	if err != nil {
		return err
	}
	err = env.Self().Command("sleep", "9999").Run()
	var exit *nstest.ExitError
	if errors.As(err, &exit) {
		err = nstest.ErrClosed
	}
	return errors.Join(err, env.Close())
}

func cycle() (err error) {
	env, err := nstest.Open(context.Background(), nstest.Config{Name: "churn"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Close()) }()
	h, err := env.AddHost(nstest.HostConfig{Name: "web"})
	if err != nil {
		return err
	}
	err = h.Command("sh", "-c", "setsid nohup sleep 6666 >/dev/null 2>&1 &").Run()
	var exit *nstest.ExitError
	if errors.As(err, &exit) { // killed with its host
		return nstest.ErrClosed
	}
	return err
}

// A victim is a running one.
type victim struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	in    io.WriteCloser
	tmp   string // its TMPDIR
}

// start starts this binary in a role, with further files open that it does not know of.
func start(t *testing.T, r string, open ...*os.File) *victim {
	t.Helper()
	v := &victim{cmd: exec.Command("/proc/self/exe"), tmp: t.TempDir()}
	v.cmd.Env = append(os.Environ(), role+"="+r, "TMPDIR="+v.tmp, "GORACE=atexit_sleep_ms=0", "GINKGO_NO_COLOR=true")
	v.cmd.Stderr = os.Stderr
	v.cmd.ExtraFiles = open
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if v.in, err = v.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	v.lines = bufio.NewScanner(out)
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if v.cmd.ProcessState == nil {
			_ = v.cmd.Process.Kill()
			_ = v.cmd.Wait()
		}
	})
	return v
}

// expect reads the next line that the victim says.
func (v *victim) expect(t *testing.T, want string) {
	t.Helper()
	if !v.lines.Scan() {
		t.Fatalf("the victim ended before it said %q: %v", want, v.lines.Err())
	}
	if got := v.lines.Text(); got != want {
		t.Fatalf("the victim said %q, want %q", strings.ReplaceAll(got, "\t", "\n"), want)
	}
}

// inherit is a program that was started with files open that it knows nothing of. It opens an environment, says "ready",
// and closes it when it is told to.
func inherit() error {
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = bufio.NewReader(os.Stdin).ReadString('\n')
	if err = errors.Join(err, env.Close()); err == nil {
		fmt.Println("closed")
	}
	return err
}
