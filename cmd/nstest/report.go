package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
	"github.com/hermetic-go/nstest/cmd/nstest/internal/page"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

type reportCommand struct {
	Bundles []string `arg:"" name:"bundle" help:"Bundles, their directories or files NAME.tar.zst, or directories that hold some."`
	Output  string   `short:"o" placeholder:"FILE" default:"report.html" help:"The file to write; - is standard output, of one bundle. Default: ${default}."`
}

func (reportCommand) Help() string {
	return `With NSTEST_KEEP=DIR set, "go test" leaves a bundle in DIR of each test that fails. The report of a bundle is one file of HTML that opens in any browser, offline: the failure and what stands out, the topology, a timeline of steps, processes, logs, names, connections and packets, what hosts said to each other, and the state of the hosts.

Of several bundles FILE is a summary, and the report of each lies beside it.`
}

// Run writes the report.
func (c *reportCommand) Run(sys *system) error {
	b, err := bundle.Open(c.Bundles[0])
	if err != nil {
		return err
	}
	defer b.Close()
	return c.write(sys, c.Output, func(w io.Writer) error { return page.Write(w, b, analysis.Read(b), buildVersion()) })
}

// write writes a file as a whole, or leaves what was there.
func (c *reportCommand) write(sys *system, path string, content func(io.Writer) error) error {
	if path == "-" {
		w := bufio.NewWriter(sys.Stdout)
		return errors.Join(content(w), w.Flush())
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".nstest-report-")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	w := bufio.NewWriter(f)
	err = errors.Join(content(w), w.Flush(), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write report: %w", err), os.Remove(f.Name()))
	}
	return nil
}
