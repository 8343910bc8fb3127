package nstest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// openInside opens an environment with the connection for a process inside, and hands out its socket too.
func openInside(t *testing.T) (*Env, *wire.Client, *net.UnixConn) {
	t.Helper()
	params, err := Config{Name: t.Name()}.params(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	params.Attached = true
	env, inside, err := openWith(t.Context(), params, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	})
	socket, err := net.FileConn(inside)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	client, err := wire.NewClient(inside)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return env, client, socket.(*net.UnixConn)
}

// hangUp ends a connection, and returns when the keeper has noticed.
func hangUp(t *testing.T, client *wire.Client, socket *net.UnixConn) {
	t.Helper()
	err := errors.Join(client.Close(), socket.CloseWrite(), socket.SetReadDeadline(time.Now().Add(30*time.Second)))
	if _, readErr := io.Copy(io.Discard, socket); err != nil || readErr != nil {
		t.Fatalf("the keeper has not noticed that a connection has ended: %v, %v", err, readErr)
	}
}

func TestTheConnectionOfAProcessInside(t *testing.T) {
	env, client, socket := openInside(t)

	var info wire.OpenResult
	if _, err := client.Call(t.Context(), wire.MethodDescribe, nil, &info); err != nil || !reflect.DeepEqual(info, env.info) {
		t.Errorf("described as %+v, %v, want %+v", info, err, env.info)
	}
	if _, err := client.Call(t.Context(), wire.MethodClose, nil, nil); !errors.Is(err, unix.EPERM) {
		t.Errorf("close: %v, want EPERM", err)
	}
	var web wire.HostResult
	if _, err := client.Call(t.Context(), wire.MethodHost, wire.HostParams{Name: "web"}, &web); err != nil {
		t.Errorf("after what it may not: %v", err)
	}

	hangUp(t, client, socket)
	if out, err := env.Self().Command("echo", "alive").Output(); err != nil || string(out) != "alive\n" {
		t.Errorf("when that connection has ended: %q, %v", out, err)
	}
	if err := env.call(t.Context(), wire.MethodJoin, wire.JoinParams{Host: web.Name}, nil); err != nil {
		t.Errorf("the host that it has made: %v", err)
	}
}

// The control: the end of the connection of who has opened it is the environment's.
func TestTheConnectionOfTheOpener(t *testing.T) {
	env, err := Open(context.Background(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := env.Self().Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(cmd.Process.HostPid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	process := os.NewFile(uintptr(pidfd), "process")
	defer process.Close()
	if err := env.conn.Close(); err != nil {
		t.Fatal(err)
	}
	ended, err := 0, error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		ended, err = unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 30_000)
	}
	if ended != 1 {
		t.Errorf("a process of the environment runs on: %v", err)
	}
	if err := env.Close(); err != nil {
		t.Error(err)
	}
}
