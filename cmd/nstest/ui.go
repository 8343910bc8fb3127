package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strconv"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/live"
	"golang.org/x/sys/unix"
)

type uiCommand struct {
	Address  string `arg:"" help:"IP:PORT of the page, or localhost:PORT."`
	WithRuns bool   `hidden:"" help:"End with the test runs. A test that has NSTEST_UI set starts this command so."`
}

func (uiCommand) Help() string {
	return `With NSTEST_UI=ADDRESS set, "go test" and "ginkgo" show the tests of all packages on a page at the address while they run: what each does as it happens, and the whole report of each that fails. The first one starts this command, found as nstest on PATH, where "go install" puts it, or as a tool of the module; the page ends with the run.

Started by hand it stays until Ctrl-C, for one run after the other, and keeps the reports of the last tests that have failed.

The page is for this user and root alone, and for browsers on this machine; "ssh -L" brings it elsewhere. At an address that is no loopback address it is for everybody who reaches that.`
}

// Run serves the page.
func (c uiCommand) Run(ctx context.Context, sys *system) error {
	addr, err := pageAddress(c.Address)
	if err != nil {
		return err
	}
	if c.WithRuns {
		if err := shut(); err != nil {
			return err
		}
	}
	s, err := live.Listen(addr, buildVersion())
	if errors.Is(err, live.ErrServed) && c.WithRuns { // whoever has started this one asks that one
		_, err = fmt.Fprintln(sys.Stdout, "ready")
		return err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Address, err)
	}
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	if c.WithRuns {
		fmt.Fprintln(sys.Stdout, "ready")
	} else {
		fmt.Fprintf(sys.Stdout, "Tests with NSTEST_UI=%s are at %s, until Ctrl-C.\n", c.Address, s.URL())
	}
	return s.Serve(ctx, c.WithRuns)
}

// pageAddress is the address that a text means. Package nstest/internal/live has the same.
func pageAddress(text string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if host == "" || host == "localhost" {
		host = "127.0.0.1"
	}
	addr, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err == nil && addr.Port() == 0 {
		err = errors.New("nobody would know the port 0: say which one")
	}
	return addr, err
}

// shut closes what this process was started with besides standard input, output and error: somebody may wait for its other end.
func shut() error {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range list {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= 2 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 { // those of this program have it
			_ = unix.Close(fd) // it is another program's
		}
	}
	return nil
}
