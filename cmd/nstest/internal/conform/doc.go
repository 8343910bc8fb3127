// Package conform runs the suites of properties from a program that is no test.
//
// Ginkgo runs one suite a process, and prints what it finds. So nstest runs workers: processes of the same program that
// are a suite each, of a share of the specs, and send what came of each spec through a pipe. What Ginkgo prints in them
// is kept back, and shown only where a worker dies. A worker is told by its name, which is the first of its arguments:
// so the others are Ginkgo's own flags, with which the specs' processes, which are the worker's program once more, find
// their way to the spec.
package conform
