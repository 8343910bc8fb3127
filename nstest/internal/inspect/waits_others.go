//go:build !amd64

package inspect

// olderCalls are those that later architectures do without.
var olderCalls map[int]string
