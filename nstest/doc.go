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
// # When a test fails
//
// With NSTEST_KEEP=DIR in the environment there is a bundle for each attempt at a hermetic spec or test, and for each
// environment from [New]: a directory in DIR that is written while the test runs, removed when it passes, and named in the
// reports when it fails. (With the flag -artifacts of go test, that of a failed test is moved to its artifacts.) In it are
//
//   - manifest.json: what has failed, and the command for a shell that runs it again
//   - events.jsonl: what happened when, a line each: nodes, steps, failures, hosts, links, faults, processes, names
//   - state.json, topology.json, topology.svg, goroutines.txt: how everything was at the first failure, before AfterEach,
//     DeferCleanup or T.Cleanup; of an environment from New, when it is closed; of a test whose process has died, after that
//   - capture.pcapng: the last packets of all cables, of each the first 4 KiB
//   - logs: what processes have printed
//   - files: what the test has left in /tmp, /var/tmp, /run and /dev/shm of the environment's own host
//   - cores: core dumps, where the machine's core_pattern is the name of a file
//
// The specs of an Ordered container share an environment, and so a bundle, which is named after the first that fails. A
// spec or test that makes further environments has their bundles among its files. Nothing else is recorded for a spec than
// for a test; the failure of a subtest is noted when the subtest has ended.
//
// With NSTEST_UI=ADDRESS in the environment, such as 127.0.0.1:8080, there is a page at that address, as long as "go test" or "ginkgo" runs, of
// all hermetic specs and tests, and environments from New: what runs, what happens in it as it does, and the report of each
// that fails. It is served by the command nstest, which the first test starts; where that is not found, or the address is taken, no test passes.
// The page is for this user, and for browsers that reach the address; other pages that they show cannot read it. Where ADDRESS is no
// loopback address it is for everybody who reaches that. What is recorded for the page alone is in memory, and nothing of it is left.
//
// A bundle has at most NSTEST_KEEP_LIMIT bytes, by default 128 MiB: a quarter of it is for packets, a quarter for events and
// logs, and about half for files. The manifest says what was left out, and a note among the events which of them were. [Redact]
// keeps secrets out of it.
//
// Package bundle reads a bundle, and `nstest report` shows it; also one that `nstest pack` has made one file of.
//
// A program that is killed leaves bundles whose manifest has the state "running", of each test that ran for a quarter of a second:
// until then a bundle is in memory, unless the test fails. They have everything up to then, and are not redacted.
//
// # Requirements
//
// Linux 5.12 or later (5.11 for ordinary users), with user namespaces where the program is not root. What is missing,
// and what to do about it, says `nstest doctor`, and the [Error] of what failed.
package nstest
