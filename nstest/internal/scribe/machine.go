package scribe

import (
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"golang.org/x/sys/unix"
)

// Machine is this one, on which environments are made as an ordinary user or not.
func Machine(rootless bool) record.Machine {
	m := machine()
	if rootless {
		m.Mode = "rootless"
	}
	return m
}

var machine = sync.OnceValue(func() record.Machine {
	m := record.Machine{Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Mode: "nested", Go: runtime.Version()}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	if data, err := os.ReadFile("/proc/self/uid_map"); err == nil && strings.Join(strings.Fields(string(data)), " ") == "0 0 4294967295" {
		m.Mode = "root"
	}
	return m
})
