// Package mutation sees that the specs of the suites notice when something is missing that keeps environments apart: for
// each guard of the engine, environments are made without it, by a switch and not by another build, and a spec that is
// named has to fail.
//
// It is run within an environment, so that what the missing guard lets through reaches no further; but for what the
// machine's root alone has, which is run outside.
package mutation
