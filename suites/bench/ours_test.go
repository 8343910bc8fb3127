package bench

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/hermetic-go/nstest/nstest"
)

// A shape is what an environment looks like.
type shape struct {
	name   string
	hosts  []nstest.HostConfig
	config nstest.Config
	byte   byte // what the floor calls it
}

// shapes are those that are measured, with the floor's name for each.
func shapes() []shape {
	// Two hosts are the environment's own and a further one, as in the floor and in what the others do.
	netOnly := []nstest.HostConfig{{Name: "a", NetOnly: true}}
	full := []nstest.HostConfig{{Name: "a"}}
	var list []shape
	for _, s := range []shape{
		{name: "loopback", config: nstest.Config{Loopback: true}, byte: 'l'},
		{name: "no-hosts", byte: 'a'},
		{name: "2-net-only-hosts", hosts: netOnly, byte: 'n'},
		{name: "2-full-hosts", hosts: full, byte: 'f'},
	} {
		machine, private := s, s
		machine.name += "/machine-root"
		machine.config.MachineRoot = true
		private.name += "/private-root"
		private.byte ^= ' ' // the upper case letter
		list = append(list, machine, private)
	}
	return list
}

func (s shape) open() (*nstest.Env, error) {
	env, err := nstest.Open(context.Background(), s.config)
	if err != nil {
		return nil, err
	}
	for _, h := range s.hosts {
		if _, err := env.AddHost(h); err != nil {
			return nil, errors.Join(err, env.Close())
		}
	}
	return env, nil
}

// enter is Open, AddHost and Close.
func (s shape) enter(int) (round, error) {
	return timed(func() error {
		env, err := s.open()
		return errors.Join(err, env.Close())
	}, func() error { return nil }), nil
}

// calls are rows for what is done in an environment with two full hosts.
func calls() []*row {
	with := func(f func(env *nstest.Env, worker int) (round, error)) func(int) (round, error) {
		return func(worker int) (round, error) {
			env, err := shape{hosts: []nstest.HostConfig{{Name: "a"}, {Name: "b"}}}.open()
			if err != nil {
				return round{}, err
			}
			r, err := f(env, worker)
			if err != nil {
				return round{}, errors.Join(err, env.Close())
			}
			stop := r.stop
			r.stop = func() error { return errors.Join(stop(), env.Close()) }
			return r, nil
		}
	}
	nothing := func() error { return nil }
	return []*row{
		{name: "Do", enter: with(func(env *nstest.Env, _ int) (round, error) {
			a := env.Host("a")
			f := func() error { return a.Do(nothing) }
			return timed(f, nothing), f()
		})},
		{name: "Command", enter: with(func(env *nstest.Env, _ int) (round, error) {
			a := env.Host("a")
			f := func() error { return a.Command("true").Run() }
			return timed(f, nothing), f()
		})},
		{name: "Listen", enter: with(func(env *nstest.Env, _ int) (round, error) {
			a, port := env.Host("a"), 1000
			f := func() error {
				port++
				l, err := a.Listen("tcp", ":"+strconv.Itoa(port))
				if err != nil {
					return err
				}
				return l.Close()
			}
			return timed(f, nothing), f()
		})},
		{name: "Dial", enter: with(func(env *nstest.Env, _ int) (round, error) { return dialing(env, "b:80") })},
		{name: "Dial-address", enter: with(func(env *nstest.Env, _ int) (round, error) {
			return dialing(env, net.JoinHostPort(env.Host("b").Addr().String(), "80"))
		})},
	}
}

// dialing connects host a with host b.
func dialing(env *nstest.Env, address string) (round, error) {
	l, err := env.Host("b").Listen("tcp", ":80")
	if err != nil {
		return round{}, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	a := env.Host("a")
	return timed(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		c, err := a.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return c.Close()
	}, l.Close), nil
}
