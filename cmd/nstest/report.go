package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

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

// Run writes the report, or those of several bundles and a summary.
func (c *reportCommand) Run(sys *system) error {
	paths, several, err := c.find()
	if err != nil {
		return err
	}
	if !several {
		_, err := c.one(sys, paths[0], c.Output)
		return err
	}
	if c.Output == "-" {
		return errors.New("of several bundles several files are written: say where, with -o FILE")
	}
	var summary page.Summary
	var errs []error
	base, extension := strings.TrimSuffix(c.Output, filepath.Ext(c.Output)), filepath.Ext(c.Output)
	for i, path := range paths {
		file := fmt.Sprintf("%s-%d%s", base, i+1, extension)
		a, err := c.one(sys, path, file)
		if err != nil {
			summary.Fail(err)
			errs = append(errs, err)
			continue
		}
		summary.Add(a, filepath.Base(file))
	}
	err = writeFile(sys, c.Output, func(w io.Writer) error { return summary.Write(w, buildVersion()) })
	return errors.Join(append(errs, err)...)
}

// find are the bundles, and whether several were asked for: a directory that is no bundle stands for those in it.
func (c *reportCommand) find() (paths []string, several bool, err error) {
	for _, path := range c.Bundles {
		inside, err := bundlesIn(path)
		if err != nil {
			return nil, false, err
		}
		if inside == nil {
			inside = []string{path}
		} else {
			several = true
		}
		paths = append(paths, inside...)
	}
	return paths, several || len(paths) > 1, nil
}

// bundlesIn are the bundles in a directory that is none itself, and in those below it, as "go test -artifacts" makes them. They
// are nil for everything else.
func bundlesIn(dir string) ([]string, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, err
	}
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // a bundle of a test that has passed meanwhile
			return nil
		case err != nil:
			return err
		case !d.IsDir():
			if strings.HasSuffix(path, ".tar.zst") {
				out = append(out, path)
			}
			return nil
		}
		if _, err := os.Lstat(filepath.Join(path, bundle.ManifestFile)); err != nil {
			return nil
		}
		out = append(out, path)
		return fs.SkipDir
	})
	switch {
	case err != nil:
		return nil, err
	case slices.Equal(out, []string{dir}): // it is one itself
		return nil, nil
	case out == nil:
		return nil, fmt.Errorf("%s: %w, and there is none in it", dir, bundle.ErrNoBundle)
	}
	return out, nil
}

// one writes the report of a bundle to a file, and returns what is in it.
func (c *reportCommand) one(sys *system, path, file string) (*analysis.Analysis, error) {
	b, err := bundle.Open(path)
	if err != nil {
		return nil, err
	}
	a := analysis.Read(b)
	err = writeFile(sys, file, func(w io.Writer) error { return page.Write(w, b, a, buildVersion()) })
	return a, errors.Join(err, b.Close())
}
