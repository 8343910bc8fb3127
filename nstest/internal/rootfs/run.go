package rootfs

import "fmt"

// Run is a path of the machine's /run, over which the keeper has its workshop.
func (m *Machine) Run() string { return fmt.Sprintf("/proc/self/fd/%d", m.old.Fd()) }
