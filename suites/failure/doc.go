// Package failure breaks suites on purpose, and asserts what is said about it: on the console and in reports, of the
// specs that are broken and of no others.
package failure
