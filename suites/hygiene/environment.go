package hygiene

import (
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/property"
)

const (
	secretVariable plant = "a secret variable"
	strictUmask    plant = "umask 077"
)

// secret is that variable.
const secret = "SECRET=1"

func setSecret() error { return os.Setenv("SECRET", "1") }

func restrictUmask() error {
	unix.Umask(0o077)
	return nil
}

func registerEnvironment() {
	property.It("H3", func(ctx SpecContext, c *property.Check) {
		c.Positive("a variable of the program is inherited, as with os/exec, where nothing is said", func() {
			s := run(ctx, secretVariable)
			c.Saw("child", strings.Contains(strings.Join(s.Child.Variables, " "), secret))
			c.Saw("command", strings.Contains(strings.Join(s.Inside.Variables, " "), secret))
			Expect(s.Child.Variables).To(ContainElement(secret))
			Expect(s.Inside.Variables).To(ContainElement(secret))
		})
		Expect(setSecret()).To(Succeed())
		env := nstest.New(GinkgoTB(), nstest.Config{})
		// A program that adds no variable of its own.
		printed := func(cmd *nstest.Cmd) []string {
			GinkgoHelper()
			out, err := cmd.Output()
			Expect(err).NotTo(HaveOccurred())
			return strings.Split(strings.Trim(string(out), "\x00"), "\x00")
		}
		c.Negative("a command that is given variables has those alone", func() {
			cmd := env.Self().Command("/usr/bin/env", "-0")
			cmd.Env = []string{"A=1", "B=two words"}
			variables := printed(cmd)
			c.Saw("variables", variables)
			Expect(variables).To(Equal(cmd.Env))
		})
		c.Negative("the init has none", func() {
			variables := printed(env.Self().Command("cat", "/proc/1/environ"))
			c.Saw("variables", len(strings.Join(variables, "")))
			Expect(variables).To(Equal([]string{""}))
		})
	})

	property.It("H4", func(ctx SpecContext, c *property.Check) {
		s := run(ctx, strictUmask)
		c.Positive("a child inherits umask 077", func() {
			c.Saw("umask", s.Child.Umask)
			Expect(s.Child.Umask).To(Equal("0077"))
		})
		c.Negative("a command in an environment has 022", func() {
			c.Saw("umask", s.Inside.Umask)
			Expect(s.Inside.Umask).To(Equal("0022"))
		})
		c.Negative("or what its Cmd says", func() {
			umask := start(nstest.New(GinkgoTB(), nstest.Config{}), func(cmd *nstest.Cmd) { cmd.Umask = new(0o027) }).Umask
			c.Saw("umask", umask)
			Expect(umask).To(Equal("0027"))
		})
	})
}
