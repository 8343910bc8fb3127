package pid

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// supervise is an init that starts two services that know nothing of each other, and reports where they are.
var supervise = nsx.Register("pid/supervise", func(parent *nsx.Parent, _ any) (_ any, err error) {
	if err := mountProc(); err != nil {
		return nil, err
	}
	var services [2]service
	for i, name := range []string{"clock", "weather"} {
		p, err := nsx.Spawn(context.Background(), nsx.Spec{}, serve, name)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		services[i].PID = p.PID()
		if err := p.Await(&services[i].Address); err != nil {
			return nil, err
		}
		if err := p.Continue(nil); err != nil {
			return nil, err
		}
	}
	return nil, parent.Report(services, nil)
})

// A service is a process, by its number inside.
type service struct {
	PID     int
	Address string
}

// serve tells everybody who connects its name. It reports where.
var serve = nsx.Register("pid/serve", func(parent *nsx.Parent, name string) (any, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if err := parent.Report(l.Addr().String(), nil); err != nil {
		return nil, err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return nil, err
		}
		_, err = io.WriteString(conn, name)
		conn.Close()
		if err != nil {
			return nil, err
		}
	}
})

// ask is what a service says.
func (s service) ask() (string, error) {
	conn, err := net.Dial("tcp", s.Address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	return string(text), err
}

func registerServices() {
	property.Seed("two services under one PID 1 know nothing of each other: one dies and the other serves on", func(ctx SpecContext) {
		init := spawn(ctx, nsx.Spec{Kinds: nsx.PID | nsx.Mount}, supervise, nil)
		var services [2]service
		Expect(init.Await(&services)).To(Succeed())
		clock, weather := services[0], services[1]

		By("both are children of process 1, and serve")
		all, err := inside()
		Expect(err).NotTo(HaveOccurred())
		for _, s := range services {
			i := slices.IndexFunc(all, func(p process) bool { return p.NSpid[1] == s.PID })
			Expect(i).NotTo(Equal(-1), "process %d is among %v", s.PID, all)
			Expect(all[i].PPid).To(Equal(init.PID()))
		}
		Expect(clock.ask()).To(Equal("clock"))
		Expect(weather.ask()).To(Equal("weather"))

		By("one dies, of a signal from inside")
		number := slices.IndexFunc(all, func(p process) bool { return p.NSpid[1] == clock.PID })
		_, err = nsx.Run(ctx, joining(init), send, sending{clock.PID, []unix.Signal{unix.SIGKILL}})
		Expect(err).NotTo(HaveOccurred())
		Eventually(inside).WithContext(ctx).ShouldNot(ContainElement(HaveField("NSpid", all[number].NSpid)))
		_, err = clock.ask()
		Expect(err).To(MatchError(unix.ECONNREFUSED))
		AddReportEntry("the one that died", err.Error())

		By("the other serves on")
		text, err := weather.ask()
		AddReportEntry("the other", text)
		Expect(err).NotTo(HaveOccurred())
		Expect(text).To(Equal("weather"))

		By("until their init dies")
		Expect(init.Close()).To(Succeed())
		_, err = weather.ask()
		Expect(err).To(MatchError(unix.ECONNREFUSED))
	}, SpecTimeout(patience))
}
