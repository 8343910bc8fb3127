// Package live serves a page of the tests that run, while they do.
//
// A test's program that has NSTEST_UI set finds the server, or starts one, by an abstract Unix socket (unix(7)) in its network namespace
// whose name has the user and the address of the page. It says which tests begin and end, and where the bundle of each is that is
// being written; the server reads what happens from there, and only while somebody looks. So a browser that is slow, or gone, costs the tests
// nothing, and the server no memory: each page has a place in a timeline that all pages of that test share.
//
// The server keeps nothing on the machine: bundles that nobody asked for are in a file system in memory that is mounted
// nowhere. A test's program hands over the open directory, and the kernel frees it with the last process that has it.
package live
