package hygiene

import (
	"errors"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// The key that a runner puts into the session keyring.
const (
	keyType    = "user"
	keyName    = "nstest-hygiene"
	keyPayload = "secret"
)

// A find is what came of looking for a key: its payload, or the error.
type find struct{ ByName, ByNumber string }

// findKey looks for the key in the session keyring, and reads the key with a number.
var findKey = nsx.Register("hygiene/find-key", func(_ *nsx.Parent, number int) (find, error) {
	read := func(id int) string {
		buf := make([]byte, 100)
		n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, buf, 0)
		if err != nil {
			return outcome(err)
		}
		return string(buf[:n])
	}
	f := find{ByNumber: read(number)}
	id, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, keyType, keyName, 0)
	if err != nil {
		f.ByName = outcome(err)
		return f, nil
	}
	f.ByName = read(id)
	return f, nil
})

// withKey compares what children find of a key whose number it is told.
var withKey = nsx.Register("hygiene/with-key", func(_ *nsx.Parent, number int) (seen[find], error) { return compare(findKey, number) })

// login puts a key into a new session keyring, as pam_keyinit(8) makes one, and runs withKey as a program of that session.
// A keyring is a thread's: that all threads of a program are in the session is so only from its beginning.
var login = nsx.Register("hygiene/login", func(*nsx.Parent, any) (s seen[find], err error) {
	if _, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); err != nil {
		return s, err
	}
	number, err := unix.AddKey(keyType, keyName, []byte(keyPayload), unix.KEY_SPEC_SESSION_KEYRING)
	if err != nil {
		return s, err
	}
	return child(withKey, number)
})

func registerKeyring() {
	property.It("H8", func(ctx SpecContext, c *property.Check) {
		s, err := nsx.Run(ctx, nsx.Spec{}, login, nil)
		if errors.Is(err, unix.ENOSYS) {
			c.Skip("the kernel has no keys", "build it with CONFIG_KEYS")
		}
		Expect(err).NotTo(HaveOccurred())
		c.Positive("a child finds a key of the program's session keyring, and reads it", func() {
			c.Saw("by its name", s.Child.ByName)
			c.Saw("by its number", s.Child.ByNumber)
			Expect(s.Child).To(Equal(find{ByName: keyPayload, ByNumber: keyPayload}))
		})
		c.Negative("a command in an environment has another session keyring", func() {
			c.Saw("by its name", s.Inside.ByName)
			Expect(s.Inside.ByName).To(Equal("ENOKEY"))
		})
		c.Negative("and may not read the key whose number it knows", func() {
			c.Saw("by its number", s.Inside.ByNumber)
			Expect(s.Inside.ByNumber).To(BeElementOf("EACCES", "ENOKEY"))
		})
	})
}
