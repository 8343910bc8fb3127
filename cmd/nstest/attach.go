package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/hermetic-go/nstest/nstest"
	"golang.org/x/sys/unix"
)

// isID tells an environment's ID, or the beginning of one, from a name.
var isID = regexp.MustCompile(`^[0-9]+(\.[0-9]*)?$`)

// splits are the ways to read a target of up to so many names after the environment's, the likeliest first. The name of a test
// can have slashes, an ID has none.
func splits(target string, names int) [][]string {
	if id, rest, found := strings.Cut(target, "/"); isID.MatchString(id) {
		if !found {
			return [][]string{{id}}
		}
		return [][]string{append([]string{id}, strings.SplitN(rest, "/", names)...)}
	}
	parts := strings.Split(target, "/")
	var list [][]string
	for n := range min(names, len(parts)-1) + 1 {
		at := len(parts) - n
		list = append(list, append([]string{strings.Join(parts[:at], "/")}, parts[at:]...))
	}
	return list
}

// attach finds the environment that a target names, and returns what the target names in it: up to so many names.
func attach(ctx context.Context, target string, names int) (*nstest.Env, []string, error) {
	var first error
	for _, s := range splits(target, names) {
		env, err := nstest.Attach(ctx, s[0])
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return env, s[1:], err
		}
		if first == nil {
			first = err
		}
	}
	return nil, nil, first
}

// attached calls do with the environment that a target names, and lets go of it. The context that do gets ends with the first
// signal that comes before the relay has somebody to pass it on to.
func attached(ctx context.Context, sys *system, target string, names int, do func(ctx context.Context, env *nstest.Env, r *relay, rest []string) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := newRelay(sys, cancel)
	defer r.close()
	env, rest, err := attach(ctx, target, names)
	defer func() {
		if closeErr := env.Close(); err == nil {
			err = closeErr
		}
	}()
	if sig := r.interrupted(); sig != 0 {
		return exitStatus(statusSignal + int(sig))
	}
	if err != nil {
		return err
	}
	return do(ctx, env, r, rest)
}

// hostOf is the host that names name, the environment's own if there are none.
func hostOf(env *nstest.Env, names []string) (*nstest.Host, error) {
	if len(names) == 0 || names[0] == "" {
		return env.Self(), nil
	}
	h, err := env.FindHost(names[0])
	if errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("environment %s has no host %s, but %s", env.ID(), names[0], hostsOf(env))
	}
	return h, err
}

// hostsOf names the hosts of an environment.
func hostsOf(env *nstest.Env) string {
	t, err := env.Topology()
	if err != nil {
		return "others"
	}
	var hosts []string
	for _, h := range t.Hosts {
		hosts = append(hosts, h.Name)
	}
	return printable(strings.Join(hosts, ", "))
}
