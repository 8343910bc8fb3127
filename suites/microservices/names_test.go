package microservices_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// rounds is how often a name is asked for at the moment at which it comes to exist.
const rounds = 200

var _ = Describe("The name of a host", func() {
	var (
		env    *nstest.Env
		client *nstest.Host
	)

	BeforeEach(func() {
		env = nstest.Current()
		client = env.Host("client")
		env.Host("web")
	})

	// comeAndGo looks web up, adds db and looks it up at once, removes db and looks it up again; many times.
	comeAndGo := func(lookup func(name string) (string, error)) {
		GinkgoHelper()
		By(fmt.Sprintf("looking up web, adding db, looking it up at once, removing it, looking it up again: %d times", rounds))
		for round := range rounds {
			Expect(lookup("web")).To(Equal(env.Host("web").Addr().String()), "web, round %d", round)
			db := env.Host("db")
			Expect(lookup("db")).To(Equal(db.Addr().String()), "db, round %d", round)
			Expect(env.RemoveHost("db")).To(Succeed())
			_, err := lookup("db")
			Expect(err).To(HaveOccurred(), "db after it was removed, round %d", round)
		}
	}

	It("is known as soon as the host is there, to Host.LookupNetIP", func() {
		comeAndGo(func(name string) (string, error) {
			addrs, err := client.LookupNetIP(context.Background(), name)
			if err != nil {
				return "", err
			}
			return firstIPv4(fmt.Sprint(addrs))
		})
	})

	It("is known as soon as the host is there, to a Go program that runs all the while", func() {
		cmd := client.Command(filepath.Join(binaries, "lookup"))
		names, err := cmd.StdinPipe()
		Expect(err).NotTo(HaveOccurred())
		answers, err := cmd.StdoutPipe()
		Expect(err).NotTo(HaveOccurred())
		Expect(cmd.Start()).To(Succeed())

		lines := bufio.NewReader(answers)
		comeAndGo(func(name string) (string, error) {
			if _, err := fmt.Fprintln(names, name); err != nil {
				return "", err
			}
			line, err := lines.ReadString('\n')
			if err != nil {
				return "", err
			}
			return firstIPv4(line)
		})
		Expect(names.Close()).To(Succeed())
		Expect(io.Copy(io.Discard, lines)).To(BeZero())
		Expect(cmd.Wait()).To(Succeed())
	})

	It("is known as soon as the host is there, to programs that ask libc", func() {
		getent := require.Program("getent")
		comeAndGo(func(name string) (string, error) {
			output, err := client.Command(getent, "ahostsv4", name).Output()
			if err != nil {
				return "", err
			}
			return firstIPv4(string(output))
		})
	})
})

// firstIPv4 is the first IPv4 address in text.
func firstIPv4(text string) (string, error) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" []\t\n", r) }) {
		if strings.Count(word, ".") == 3 && !strings.Contains(word, ":") {
			return word, nil
		}
	}
	return "", fmt.Errorf("%q has no address", strings.TrimSpace(text))
}
