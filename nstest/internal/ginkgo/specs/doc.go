// Package specs runs the specs of a Ginkgo suite, each in a twin of the program.
//
// In the original, Ginkgo runs the suite as ever: it filters, orders, times out, interrupts and reports. Only the bodies
// of nodes are not there: each is replaced by one that lets a twin run it, waits, and fails as it has failed. The twin,
// in an environment of its own, has built the same tree, has Ginkgo run that one spec (or Ordered container), and stops
// before each node until the original comes to it. So the two go in step, and what Ginkgo decides in the original from
// the outcome of a node, it decides in the twin too. What a node does beside its outcome, such as steps, report
// entries, output, and the clean-ups that it registers, is done in the original again.
//
// Timeouts and interrupts are the original's alone: it tells the twin to cancel a node's context, and to leave a node
// behind that does not end.
//
// The path of this package contains "/ginkgo/": that is how Ginkgo tells frames that are not the user's, and leaves them
// out of stack traces.
package specs
