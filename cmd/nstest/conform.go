package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/conform"
	"github.com/hermetic-go/nstest/cmd/nstest/internal/report"
	"github.com/hermetic-go/nstest/cmd/nstest/internal/target"
)

type conformCommand struct {
	Check conformCheckCommand `cmd:"" default:"withargs" hidden:""`
	Diff  conformDiffCommand  `cmd:"" help:"Compare two files of --json: two kernels, or two runtimes."`
}

func (conformCommand) Help() string {
	return `Every property is shown with both of its controls, in environments of their own: nothing on the machine changes. All that it takes is this program.

--label takes an id (U1), a suite (uts), or an expression of Ginkgo's: "uts && !U6", "/^N[1-4]$/". Repeated, one of them has to fit.

--target does not make environments. It looks at what is around the process, as the runtime has made it that started nstest, and changes nothing:

  docker run --rm -v $PWD/nstest:/nstest:ro debian /nstest conform --target

The exit status is 0 if all that was tried holds, 1 if something failed, 125 if nstest itself failed, and 2 if it was called wrongly; of --target, 0 whatever it finds; of diff, 1 if something has become worse.`
}

type conformCheckCommand struct {
	Label   []string `short:"l" sep:"none" placeholder:"EXPRESSION" help:"Only the properties with such a label. Repeatable."`
	Target  bool     `help:"Look at what isolates this process, instead of what nstest makes."`
	JSON    string   `name:"json" placeholder:"FILE" help:"Write the whole report to FILE, as JSON; - is standard output, instead of the table."`
	Procs   int      `placeholder:"N" help:"How many processes run specs at a time. Default: one a processor."`
	Verbose bool     `short:"v" help:"Print all evidence."`
}

// Run makes the report, and prints it.
func (c *conformCheckCommand) Run(ctx context.Context, sys *system) (err error) {
	if c.Target && len(c.Label) > 0 {
		return usageError(sys, errors.New("--target looks at everything: leave --label out"))
	}
	file, err := c.open(sys)
	if err != nil {
		return err
	}
	if file != nil && file != sys.Stdout {
		defer func() { err = errors.Join(err, file.Close()) }()
	}
	if c.Target {
		return c.print(sys, target.Look(buildVersion()), file)
	}
	ctx, signalled, stop := interruptible(ctx, sys)
	defer stop()
	r, err := conform.Run(ctx, conform.Options{Version: buildVersion(), Labels: c.Label, Procs: c.Procs})
	if errors.Is(err, conform.ErrUsage) {
		return usageError(sys, err)
	}
	if r != nil {
		err = errors.Join(err, c.print(sys, r, file))
	}
	if sig := signalled(); err != nil && sig != 0 {
		sys.warnf("%s before all specs had run", unix.SignalName(sig))
		return exitStatus(statusSignal + int(sig))
	}
	if err != nil {
		return err
	}
	if r.Count(report.Fail) > 0 {
		return exitStatus(1)
	}
	return nil
}

// open opens the file for JSON before the work is done. It is nil if none is wanted.
func (c *conformCheckCommand) open(sys *system) (*os.File, error) {
	switch c.JSON {
	case "":
		return nil, nil
	case "-":
		return sys.Stdout, nil
	}
	file, err := os.Create(c.JSON)
	if err != nil {
		return nil, fmt.Errorf("--json: %w", err)
	}
	return file, nil
}

// print prints the report, and writes its JSON to file unless that is nil.
func (c *conformCheckCommand) print(sys *system, r *report.Report, file *os.File) error {
	if file != nil {
		if err := r.Write(file); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	if file == sys.Stdout {
		return nil
	}
	if err := r.Print(sys.Stdout, c.Verbose); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
}

// interruptible is a context that is done once a signal comes that ends programs, and which it was.
func interruptible(ctx context.Context, sys *system) (_ context.Context, signalled func() unix.Signal, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals, unnotify := sys.Notify()
	var first atomic.Int32
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case sig := <-signals:
				switch sig {
				case unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT:
					first.Store(int32(sig.(unix.Signal)))
					cancel()
				}
			}
		}
	}()
	return ctx, func() unix.Signal { return unix.Signal(first.Load()) }, func() { cancel(); unnotify() }
}

type conformDiffCommand struct {
	Before string `arg:"" help:"What --json wrote before."`
	After  string `arg:"" help:"What it wrote after, or elsewhere."`
}

func (conformDiffCommand) Help() string {
	return `A property that held and fails now, or is not there any more, is a regression: then the exit status is 1. It is 125 if a file cannot be read, and 2 if one is no report or they are of two kinds.`
}

// Run prints what differs.
func (c *conformDiffCommand) Run(sys *system) error {
	before, err := report.Read(c.Before)
	var after *report.Report
	if err == nil {
		after, err = report.Read(c.After)
	}
	var d *report.Difference
	if err == nil {
		d, err = report.Compare(before, after)
	}
	switch {
	case errors.Is(err, report.ErrNoReport):
		return usageError(sys, err)
	case err != nil:
		return err
	}
	if err := d.Print(sys.Stdout); err != nil {
		return fmt.Errorf("print difference: %w", err)
	}
	if d.Regressions() > 0 {
		return exitStatus(1)
	}
	return nil
}

// usageError reports that nstest conform was called wrongly.
func usageError(sys *system, err error) error {
	sys.warnf("%v", err)
	return exitStatus(statusUsage)
}

func buildVersion() string { return version(debug.ReadBuildInfo()) }
