package mount

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/suites/property"
)

func registerDevices() {
	property.It("M23", func(ctx SpecContext, c *property.Check) {
		dir := ground(alone, "environment", "user", "fresh")
		user, fresh := enter(ctx, unprivileged(0)), enter(ctx, unprivileged(0))
		do(fresh, tmpfs(dir+"/fresh"))
		for _, who := range []struct {
			name string
			process
			dir string
		}{
			{"root of the environment", outside, dir + "/environment"},
			{"root of a user namespace in it", user, dir + "/user"},
			{"the same, on a file system of its own,", fresh, dir + "/fresh"},
		} {
			c.Positive(who.name+" may make a named pipe", func() {
				do(who, mknod(who.dir+"/pipe", unix.S_IFIFO))
				names := do(who, list(who.dir))
				c.Saw("the directory", names)
				Expect(names).To(Equal("pipe"))
			})
			c.Negative(who.name+" may not make a character device", func() {
				err := failure(who, mknod(who.dir+"/null", unix.S_IFCHR))
				c.Saw("error", err)
				Expect(err).To(MatchError(unix.EPERM))
			})
		}
	})
}
