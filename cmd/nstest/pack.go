package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hermetic-go/nstest/nstest/bundle"
)

type packCommand struct {
	Bundles []string `arg:"" name:"bundle" help:"Bundles: directories that NSTEST_KEEP has made."`
	Output  string   `short:"o" placeholder:"FILE" help:"The file to write, of one bundle; - is standard output. Default: the bundle's path with .tar.zst at the end."`
}

func (packCommand) Help() string {
	return `The file is a tar archive compressed by zstd. "nstest report" and package bundle read it as they read the directory, which stays.`
}

// Run packs each of the bundles.
func (c *packCommand) Run(sys *system) error {
	if c.Output != "" && len(c.Bundles) > 1 {
		return errors.New("several bundles are several files: leave -o away")
	}
	var errs []error
	for _, path := range c.Bundles {
		errs = append(errs, c.one(sys, path))
	}
	return errors.Join(errs...)
}

func (c *packCommand) one(sys *system, path string) error {
	const suffix = ".tar.zst"
	dir, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	b, err := bundle.Open(dir)
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(filepath.Base(dir), suffix)
	pack := func(w io.Writer) error { return b.Pack(w, name) }
	to := c.Output
	if to == "" {
		to = filepath.Join(filepath.Dir(dir), name+suffix)
	}
	if _, serr := os.Lstat(to); serr == nil && c.Output == "" {
		err = fmt.Errorf("%s is there already: remove it, or say where with -o FILE", to)
	} else {
		err = writeFile(sys, to, pack)
	}
	return errors.Join(err, b.Close())
}
