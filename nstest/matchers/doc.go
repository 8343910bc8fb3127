// Package matchers has Gomega matchers for namespaces and what is in them. All of them can be polled with Eventually,
// which stops when a process that is looked at has ended.
//
// What they look at, the actual value, is a process: its number, an *os.Process, an *nsx.Process; or a machine: an
// *nstest.Host, or an *nstest.Env, which stands for its own host. In a hermetic spec that is nstest.Current().
package matchers
