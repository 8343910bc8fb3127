package ipc

import (
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// settings are values of sysctls.
type settings map[string]string

// Two values for each: none is the kernel's default.
var (
	some = settings{
		"kernel.shmmax": "1048576", "kernel.shmall": "4096", "kernel.shmmni": "100", "kernel.shm_rmid_forced": "1",
		"kernel.msgmax": "4096", "kernel.msgmnb": "8192", "kernel.msgmni": "100", "kernel.sem": "100\t3200\t10\t100",
		"fs.mqueue.queues_max": "10", "fs.mqueue.msg_max": "5", "fs.mqueue.msgsize_max": "4096",
		"fs.mqueue.msg_default": "4", "fs.mqueue.msgsize_default": "2048",
	}
	others = settings{
		"kernel.shmmax": "2097152", "kernel.shmall": "8192", "kernel.shmmni": "200", "kernel.shm_rmid_forced": "0",
		"kernel.msgmax": "2048", "kernel.msgmnb": "4096", "kernel.msgmni": "200", "kernel.sem": "200\t6400\t20\t200",
		"fs.mqueue.queues_max": "20", "fs.mqueue.msg_max": "6", "fs.mqueue.msgsize_max": "2048",
		"fs.mqueue.msg_default": "3", "fs.mqueue.msgsize_default": "1024",
	}
)

func sysctlPath(name string) string { return "/proc/sys/" + strings.ReplaceAll(name, ".", "/") }

// current are the settings that the caller reads, of those that s has.
func (s settings) current() (settings, error) {
	now := settings{}
	for name := range s {
		value, err := os.ReadFile(sysctlPath(name))
		if err != nil {
			return nil, err
		}
		now[name] = strings.TrimSpace(string(value))
	}
	return now, nil
}

// set writes settings, and returns what can be read then.
var set = nsx.Register("ipc/set", func(_ *nsx.Parent, s settings) (settings, error) {
	for name, value := range s {
		if err := os.WriteFile(sysctlPath(name), []byte(value), 0); err != nil {
			return nil, err
		}
	}
	return s.current()
})

func registerSysctls() {
	property.It("I8", func(ctx SpecContext, c *property.Check) {
		written := func(s nsx.Spec, to settings) (inside, outside settings) {
			GinkgoHelper()
			inside, err := nsx.Run(ctx, s, set, to)
			Expect(err).NotTo(HaveOccurred())
			outside, err = to.current()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("inside", inside)
			c.Saw("outside", outside)
			return inside, outside
		}
		c.Positive("what a clone without CLONE_NEWIPC writes we read", func() {
			inside, outside := written(nsx.Spec{}, some)
			Expect(inside).To(Equal(some))
			Expect(outside).To(Equal(some))
		})
		for _, how := range ways {
			c.Negative("what "+how.String()+" with CLONE_NEWIPC writes it reads, and we do not", func() {
				inside, outside := written(nsx.Spec{How: how, Kinds: nsx.IPC}, others)
				Expect(inside).To(Equal(others))
				Expect(outside).To(Equal(some))
			})
		}
	})
}
