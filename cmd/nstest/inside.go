package main

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/hermetic-go/nstest/nstest"
	"golang.org/x/sys/unix"
)

// inside opens the environment that the flags ask for, calls do, and closes it. A signal that comes before do has
// started a command ends all of it.
func (f *environmentFlags) inside(ctx context.Context, sys *system, do func(env *nstest.Env, r *relay) error) (err error) {
	cfg, err := f.config()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := newRelay(sys, cancel)
	defer r.close()
	env, err := nstest.Open(ctx, cfg)
	defer func() {
		if closeErr := env.Close(); closeErr != nil {
			if err != nil {
				sys.warnf("%v", err) // also the exit status of a command that is lost
			}
			err = closeErr
		}
	}()
	if err == nil {
		err = f.acceptable(sys, env, cfg.Shared)
	}
	if err == nil && f.Audit {
		err = f.audit(ctx, env, sys)
	}
	if sig := r.interrupted(); sig != 0 {
		sys.warnf("%s before the command was started", unix.SignalName(sig))
		return exitStatus(statusSignal + int(sig))
	}
	if err != nil {
		return err
	}
	return do(env, r)
}

// acceptable refuses shared directories that would be read-only. As root that is so with a directory that belongs to
// root: a setuid program that is made in there would be one of the machine's root.
func (f *environmentFlags) acceptable(sys *system, env *nstest.Env, list []nstest.Shared) error {
	if env.Rootless() || f.Privileged || !isRoot(sys.Getenv("SUDO_UID")) {
		return nil
	}
	for _, s := range list {
		fi, err := os.Stat(s.Path)
		if err != nil {
			return fmt.Errorf("--rw %s: %w", s.Path, err)
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid == 0 {
			return fmt.Errorf("--rw %s: the directory is root's, and a setuid program made inside would be the machine's root's.\n"+
				"Share one that belongs to an ordinary user (chown it, or make another):\nwhat root makes inside is that user's outside", s.Path)
		}
	}
	return nil
}

// isRoot reports whether SUDO_UID names no ordinary user.
func isRoot(uid string) bool { return uid == "" || uid == "0" }
