// Package bench measures what environments cost, beside what the kernel itself charges and what others take for the same.
//
//	go test -run '^$' -bench . -benchtime 1x -timeout 30m ./suites/bench
//
// BenchmarkRound makes and unmakes environments of several shapes with 1, 2 and 4 workers, and beside each the floor
// (floor/floor.c: the same namespaces and mounts by raw system calls, from C), `unshare` with every kind, `ip -batch`
// for the same topology, and bwrap. Two hosts are an environment's own and a further one. BenchmarkCall does the same for
// calls in an environment that is there. They take turns, a few rounds each, so that whatever else the machine does hits
// all alike; between turns the kernel is given the time to take apart what died. Absolute numbers are the machine's;
// BenchmarkRound/ratio is what carries over, with the targets that the project has set itself. BenchmarkMemory is the
// keeper's growth over 1,000 environments.
//
// BenchmarkSpec runs specs under RunSpecs, in suites of 10 and of 2,000, the latter in 200 containers or in one (flat): cold
// without a spare process, though with a spare environment, and warm with one. A spec takes 20 ms, which do not count; where it
// takes none (cold-empty), its start has to share the processors with the end of the one before. Beside each the same program
// starts and ends without running a test (bare), after a pause of as many milliseconds.
//
// BenchmarkKeep runs a suite of 100 specs that do nothing and pass, with NSTEST_KEEP and without, a tenth as many times as there
// are rounds: what it costs to record what nobody will read. time is what passes, and cpu what the suite and all processes
// below it have of the processors. The ratio is that of the medians.
//
// BenchmarkScale makes environments with 10 and 100 hosts on one network, beside the floor with as many.
//
// BenchmarkSeccomp is what a system call that does nothing takes with the filter of environments and without.
//
// A row is p50-µs, p90-µs and p99-µs of single rounds, and how many rounds a second (envs/s) all workers did together,
// the kernel's clearing up included. Flags, after -args:
//
//	-rounds N   rounds of each row and number of workers (400)
//	-only RE    only rows whose name matches, such as 'nstest|floor'
//	-gate       a target that is missed fails the benchmark
//
// The floor needs root and a C compiler, the others their programs; what is missing is left out, and -v shows the reason.
package bench
