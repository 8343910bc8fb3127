package mount

import (
	"errors"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/suites/property"
)

func registerInterpreters() {
	property.It("M25", func(ctx SpecContext, c *property.Check) {
		const (
			magic  = "hermetic"
			format = ":nstest:M::" + magic + "::/bin/cat:"
			text   = magic + " program\n"
		)
		dir := ground(alone, "binfmt")
		registry, program := dir+"/binfmt", dir+"/program"
		Expect(os.WriteFile(program, []byte(text), 0o755)).To(Succeed())
		inside := enter(ctx, unprivileged(0))
		if err := failure(inside, mount("binfmt_misc", registry, "")); !errors.Is(err, unix.ENODEV) {
			Expect(err).NotTo(HaveOccurred())
		} else {
			c.Skip("this kernel has no binfmt_misc", "run it on a kernel with CONFIG_BINFMT_MISC")
		}
		do(outside, mount("binfmt_misc", registry, ""))
		before := do(outside, list(registry))

		c.Positive("a program of a format that was registered inside is run inside, by its interpreter", func() {
			c.Saw("before", failure(inside, execute(program)))
			do(inside, write(registry+"/register", format))
			out := do(inside, execute(program))
			c.Saw("the formats", do(inside, list(registry)))
			c.Saw("it prints", strings.TrimSpace(out))
			Expect(out).To(Equal(text))
		})
		c.Negative("outside nobody knows the format", func() {
			err := failure(outside, execute(program))
			after := do(outside, list(registry))
			c.Saw("running it", err)
			c.Saw("the formats", after)
			Expect(err).To(MatchError(unix.ENOEXEC))
			Expect(after).To(Equal(before))
			Expect(after).NotTo(ContainSubstring("nstest"))
		})
	})
}
