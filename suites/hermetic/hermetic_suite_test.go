// Package hermetic_test shows that a spec run by nstest.RunSpecs is wholly inside: its process, all goroutines of it and
// of the libraries that it uses, and what it starts. Where the suite's process and the machine can be seen to differ,
// SynchronizedBeforeSuite, which runs there, has looked.
package hermetic_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestHermetic(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	nstest.RunSpecs(t, "Hermetic")
}

// outside is what the suite's process saw.
var outside seen

// seen is what tells processes apart.
type seen struct {
	PID        int
	Hostname   string
	Namespaces map[string]string
}

// kinds are the files of /proc/PID/ns of what an environment has of its own. (The time namespace is shared by default.)
var kinds = []string{"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}

func look() (seen, error) {
	s := seen{PID: os.Getpid(), Namespaces: map[string]string{}}
	var err error
	if s.Hostname, err = os.Hostname(); err != nil {
		return s, err
	}
	for _, k := range kinds {
		if s.Namespaces[k], err = namespace(k); err != nil {
			return s, err
		}
	}
	return s, nil
}

// namespace is the calling thread's.
func namespace(kind string) (string, error) {
	link, err := os.Readlink("/proc/thread-self/ns/" + kind)
	if err != nil {
		return "", fmt.Errorf("look up namespace: %w", err)
	}
	return link, nil
}

var _ = SynchronizedBeforeSuite(func() []byte {
	s, err := look()
	Expect(err).NotTo(HaveOccurred())
	data, err := json.Marshal(s)
	Expect(err).NotTo(HaveOccurred())
	return data
}, func(data []byte) {
	Expect(json.Unmarshal(data, &outside)).To(Succeed())
})
