// Package nstest makes hermetic Linux environments for tests: namespaces of their own (namespaces(7)), a private root,
// and networks with as many hosts as wanted, in milliseconds, as root or as an ordinary user.
//
//	env := nstest.New(t, nstest.Config{})        // closes itself at the test's end
//	web := env.Host("web")                       // a host, made on first use
//	l, err := web.Listen("tcp", ":80")           // every host has all ports
//	out, err := env.Host("client").Command("curl", "-s", "http://web/").Output()
//
// # Hermetic specs and tests
//
// [RunSpecs] runs a Ginkgo suite with every spec wholly inside an environment of its own, [Current], and [Run] does so
// for a plain Go test: all goroutines, libraries and child processes are inside, and a plain net.Listen or http.Get is
// the environment's.
//
//	func TestShop(t *testing.T) {
//		RegisterFailHandler(Fail)
//		nstest.RunSpecs(t, "Shop")
//	}
//
// [New] makes an environment beside a test that stays outside.
//
// # Environments, hosts, networks
//
// An [Env] is a user namespace and everything in it. It has a host of its own, [Env.Self], and further ones from
// [Env.Host] and [Env.AddHost]. A [Host] has network, PID, mount, IPC and UTS namespaces; hosts of one environment share
// the file tree except for what a machine has of its own. Hosts hang on a [Network], with a [Link] each; the first
// network is there from the beginning. Names resolve in every host the moment that a host exists.
//
// # Routers, firewalls, names
//
// A [Router] forwards between networks, and translates addresses if it has a [NAT]; hosts have their default route through
// it. Links of running hosts can be added, moved, renumbered and pulled. Any host can have a [Firewall]. [Env.DNS] is what
// hosts ask for names. Nothing leaves an environment unless its Config has an [Outbound]. [Env.Topology] shows what there
// is. Root and ordinary users get the same, but for [Host.Borrow], which is root's.
//
// # Processes and sockets
//
// [Host.Command] mirrors [os/exec.Cmd]. [Host.Listen] and [Host.DialContext] make sockets inside the host that any
// goroutine of the program can use: TCP, UDP and Unix sockets; others, such as SCTP where the kernel has it, a process in
// the host makes for itself. [Host.Do] runs a function on a thread inside the host, where the program has the
// right to enter.
//
// # Lifetime
//
// All of it ends with [Env.Close], at the test's end, or with the program, even if that is killed: a child of the
// program, its keeper, is PID 1 of a PID namespace that every environment is part of. The keeper is the program's own
// binary, started again; it begins in this package's init function, before main.
//
// # Requirements
//
// Linux 5.12 or later (5.11 for ordinary users), with user namespaces where the program is not root. What is missing,
// and what to do about it, says `nstest doctor`, and the [Error] of what failed.
package nstest
