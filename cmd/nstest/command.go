package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/look"
	"github.com/hermetic-go/nstest/nstest"
)

// commandFlags say who a command in an environment is, and where it begins.
type commandFlags struct {
	UID   *int     `name:"uid" placeholder:"N" help:"Run as user and group N of the environment. Default: 0, its root."`
	Chdir string   `placeholder:"DIR" help:"Start in DIR. Default: the current directory where it is visible, else /."`
	Env   []string `short:"e" sep:"none" placeholder:"NAME=VALUE" help:"Set an environment variable; the others pass. Repeatable."`
}

// check refuses values that no command can have.
func (f *commandFlags) check() error {
	if f.UID != nil && *f.UID < 0 {
		return errors.New("--uid is negative")
	}
	for _, e := range f.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return fmt.Errorf("--env %s: give it as NAME=VALUE", e)
		}
	}
	return nil
}

// configure makes the flags true of cmd.
func (f *commandFlags) configure(cmd *nstest.Cmd, sys *system) error {
	cmd.Env = append(sys.Environ(), f.Env...)
	if f.Chdir != "" {
		dir, err := filepath.Abs(f.Chdir)
		if err != nil {
			return fmt.Errorf("--chdir: %w", err)
		}
		cmd.Dir = dir
		cmd.Env = append(cmd.Env, "PWD="+dir)
	}
	if f.UID != nil {
		cmd.User = &nstest.User{UID: *f.UID, GID: *f.UID}
	}
	mask, err := umask()
	if err != nil {
		return err
	}
	cmd.Umask = &mask
	return nil
}

// umask is that of this process. umask(2) could only tell it by changing it for every thread.
func umask() (int, error) {
	status, err := look.Lines("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("read umask: %w", err)
	}
	for _, line := range status {
		if value, ok := strings.CutPrefix(line, "Umask: "); ok {
			mask, err := strconv.ParseUint(value, 8, 32)
			return int(mask), err
		}
	}
	return 0o022, nil // Linux before 4.7 does not tell
}
