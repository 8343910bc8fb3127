// Package nsx makes single namespaces for checks of what a kernel, a container or a machine really isolates
// (namespaces(7)). For environments with a file tree and networks there is package nstest.
//
// A probe is a function of the program that is run in a process of its own, in namespaces that were made or joined in
// one of the four ways:
//
//	var rename = nsx.Register("rename", func(_ *nsx.Parent, name string) (string, error) {
//		if err := unix.Sethostname([]byte(name)); err != nil {
//			return "", err
//		}
//		return os.Hostname()
//	})
//
//	inside, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.UTS}, rename, "inside")
//
// [Run] returns what the probe returns. [Spawn] returns a [Process] while the probe runs: its id, its namespaces, and the
// two-way conversation by which something can be changed outside between two looks of the probe.
//
// [RunBy] runs a probe as a command of somebody else's, such as a host of an environment.
//
// A namespace is entered by a process with a single thread, as user and time namespaces require, and then the program
// executes itself again there: the probe is the first of the program's functions to run, on the process's first thread,
// before main and before any other goroutine. The process has a single way back: what the probe returns and says.
//
// # What is needed
//
// Making namespaces needs CAP_SYS_ADMIN. Specs under nstest.RunSpecs have it, whoever runs them, and what they change
// ends with their environment. Elsewhere an ordinary user adds a user namespace: [Spec.AsRoot]. /proc must be that of the
// caller's PID namespace. Nothing outlives the program, however it ends.
package nsx
