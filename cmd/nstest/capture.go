package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/hermetic-go/nstest/nstest"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

type captureCommand struct {
	Write  string   `short:"w" placeholder:"FILE" help:"Write to FILE, which is made, or written anew. Default, and -: standard output."`
	Snap   int      `short:"s" placeholder:"BYTES" help:"Keep so many bytes of each packet. Default: all."`
	Target string   `arg:"" name:"ENV[/HOST[/NETWORK]]" help:"The environment, as nstest ls names it, the host, and the network of one of the host's links. Default: all of them."`
	Filter []string `arg:"" optional:"" name:"expression" help:"Which packets: an expression of pcap-filter(7), in which hosts can be named, such as host web and tcp port 80."`
}

func (captureCommand) Help() string {
	return `The packets are written as they pass, in the format pcapng:

    nstest capture shop | tshark -r -
    nstest capture shop/web | wireshark -k -i -
    nstest capture -w web.pcapng shop/web not port 53

It ends with Ctrl-C, or with the environment; the file is complete then. How many packets there were is printed to standard error.

The exit status is 0, and 125 if something went wrong.`
}

// Run captures until a signal comes or the environment ends.
func (c *captureCommand) Run(ctx context.Context, sys *system) error {
	if c.Snap < 0 {
		return errors.New("--snap is negative")
	}
	toFile := c.Write != "" && c.Write != "-"
	if !toFile && term.IsTerminal(int(sys.Stdout.Fd())) {
		return errors.New("packets are nothing for a terminal: name a file with -w FILE, or a program after | that reads them")
	}
	return attached(ctx, sys, c.Target, 2, func(ctx context.Context, env *nstest.Env, _ *relay, names []string) (err error) {
		out := sys.Stdout
		if toFile {
			if out, err = os.Create(c.Write); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, out.Close()) }()
		}
		return c.capture(ctx, sys, env, names, nstest.CaptureConfig{Writer: out, Filter: strings.Join(c.Filter, " "), Snap: c.Snap})
	})
}

func (c *captureCommand) capture(ctx context.Context, sys *system, env *nstest.Env, names []string, cfg nstest.CaptureConfig) error {
	begin := env.Capture
	if len(names) > 0 {
		host, err := hostOf(env, names)
		if err != nil {
			return err
		}
		begin = host.Capture
		if len(names) > 1 {
			i := slices.IndexFunc(host.Links(), func(l *nstest.Link) bool { return l.Network() == names[1] })
			if i < 0 {
				return fmt.Errorf("host %s has no link to network %s", host.Name(), names[1])
			}
			begin = host.Links()[i].Capture
		}
	}
	capture, err := begin(cfg)
	if errors.Is(err, nstest.ErrClosed) || errors.Is(err, unix.ESHUTDOWN) { // somebody may have read the file's beginning already
		sys.warnf("the environment has ended")
		return nil
	}
	if err != nil {
		return err
	}
	if err := capture.Wait(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	if ctx.Err() == nil {
		sys.warnf("the environment has ended")
		return nil
	}
	stats, err := capture.Stop()
	text := fmt.Sprintf("%d packets", stats.Packets)
	if stats.Lost > 0 {
		text += fmt.Sprintf(", and %d were lost", stats.Lost)
	}
	sys.warnf("%s", text)
	return err
}
