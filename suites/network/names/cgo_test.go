//go:build cgo

package names_test

func init() { resolvers = append(resolvers, resolver{"getaddrinfo", program("cgo")}) }
