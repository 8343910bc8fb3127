package user

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// An identity is who a process is in its own user namespace.
type identity struct {
	UID, GID     int
	Capabilities string // the effective ones: a bit each, in hexadecimal
}

// look is the identity of the calling process.
func look() (identity, error) {
	effective, err := capabilities("thread-self")
	return identity{os.Geteuid(), os.Getegid(), effective}, err
}

// capabilities are the effective ones of a process that /proc has under this name.
func capabilities(process string) (string, error) {
	status, err := os.ReadFile("/proc/" + process + "/status")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("no CapEff in the status of process %s", process)
}

// none and allCapabilities are values of identity.Capabilities.
const none = "0000000000000000"

func allCapabilities() string {
	GinkgoHelper()
	return fmt.Sprintf("%016x", uint64(1)<<(number("/proc/sys/kernel/cap_last_cap")+1)-1)
}

// number is what a file of one number has.
func number(path string) int {
	GinkgoHelper()
	text, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	Expect(err).NotTo(HaveOccurred())
	return n
}

// whoAmI returns its identity.
var whoAmI = nsx.Register("user/who-am-i", func(*nsx.Parent, any) (identity, error) { return look() })

// ids is how many user ids the process has around it.
func ids() int {
	GinkgoHelper()
	text, err := os.ReadFile("/proc/self/uid_map")
	Expect(err).NotTo(HaveOccurred())
	sum := 0
	for line := range strings.Lines(string(text)) {
		n, err := strconv.Atoi(strings.Fields(line)[2])
		Expect(err).NotTo(HaveOccurred())
		sum += n
	}
	return sum
}

// needIDs skips a spec that takes more ids than its environment has.
func needIDs(c *property.Check, n int) {
	GinkgoHelper()
	if have := ids(); have < n {
		c.Skip(fmt.Sprintf("it takes %d user ids, and the environment has %d", n, have),
			"run it as root, or have the system grant subordinate ids: /etc/subuid, /etc/subgid and the package uidmap")
	}
}

// other is a user id that is not the environment's root's.
const other = 1000

// ordinary is a process without capabilities, and the id that is its own: the program's, if it was not started by root.
// Where root has no further id, it is root under another name, in a user namespace where it is not root.
func ordinary() (nsx.Spec, int) {
	GinkgoHelper()
	id := other
	switch {
	case os.Geteuid() != 0:
		return nsx.Spec{}, os.Geteuid()
	case ids() > other:
		return nsx.Spec{UID: &id, GID: &id}, id
	default:
		one := []nsx.IDMap{{Inside: other, Outside: 0, Count: 1}}
		return nsx.Spec{Kinds: nsx.User, UIDMaps: one, GIDMaps: one, UID: &id, GID: &id}, id
	}
}

// rootAs is a process that is root of a new user namespace, and an id outside.
func rootAs(outside int) nsx.Spec {
	root, one := 0, []nsx.IDMap{{Inside: 0, Outside: outside, Count: 1}}
	return nsx.Spec{Kinds: nsx.User, UIDMaps: one, GIDMaps: one, UID: &root, GID: &root}
}
