package mount

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/suites/property"
)

func registerTmpfs() {
	property.It("M22", func(ctx SpecContext, c *property.Check) {
		const mebibyte = 1 << 20
		dir := ground(alone, "small", "few")
		inside := enter(ctx, unprivileged(0))
		do(inside, mount("tmpfs", dir+"/small", "size=1m"), mount("tmpfs", dir+"/few", "nr_inodes=8"))
		c.Positive("half of size=1m can be written, and nr_inodes=8 has room for a root and 7 files", func() {
			do(inside, write(dir+"/small/file", strings.Repeat("x", mebibyte/2)))
			for i := range 7 {
				do(inside, write(fmt.Sprint(dir, "/few/", i), ""))
			}
			names := do(inside, list(dir+"/few"))
			c.Saw("bytes", mebibyte/2)
			c.Saw("files", names)
			Expect(names).To(Equal("0 1 2 3 4 5 6"))
		})
		c.Negative("more is refused", func() {
			bytes := failure(inside, write(dir+"/small/file", strings.Repeat("x", mebibyte+1)))
			file := failure(inside, write(dir+"/few/7", ""))
			c.Saw("one byte more than size", bytes)
			c.Saw("one file more than nr_inodes", file)
			Expect(bytes).To(MatchError(unix.ENOSPC))
			Expect(file).To(MatchError(unix.ENOSPC))
		})
	})
}
