//go:build !amd64 && !arm64

package pid1

// static is empty: the Go program itself serves as the init (fallback.go).
var static []byte
