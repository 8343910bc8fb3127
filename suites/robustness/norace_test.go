//go:build !race

package robustness

// raceFactor is by how much the race detector makes the memory of a program bigger.
const raceFactor = 1
