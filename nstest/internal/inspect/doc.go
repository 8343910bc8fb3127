// Package inspect looks at the hosts of an environment from outside: at their processes through a /proc in which all of them
// are, at their networks through sockets in their namespaces. Nothing that runs inside is asked for anything.
//
// Whoever is inside decides how much there is to be seen, and what it is called. So everything is read up to a limit, and
// texts come as they are: invalid UTF-8, line breaks and escape sequences included.
package inspect

import (
	"fmt"
	"strings"
)

// How much is read of a host. What is left out is said.
const (
	MostProcesses  = 1000
	MostFiles      = 256  // of a process
	mostFilesInAll = 8000 // of a host
	mostSockets    = 2000
	mostInterfaces = 256
	mostAddresses  = 1000
	mostRoutes     = 1000
	mostNeighbours = 1000
	mostCounters   = 500
	mostMounts     = 500
	mostText       = 1000 // bytes of a name
	mostArguments  = 4096 // bytes, of a process
)

// more is what is said of what was left out.
func more(n int, what string) string { return fmt.Sprintf("there are more than %d %s", n, what) }

// clip is a text of which the rest may be missing. It is a copy, so that the rest is not kept.
func clip(s string) string {
	if len(s) <= mostText {
		return s
	}
	return strings.Clone(s[:mostText]) + "…"
}
