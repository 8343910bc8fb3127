package names_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// A finding is what a resolver says of a name: addresses in order, or what is wrong.
type finding string

const (
	notFound finding = "not found"
	// failed is what a resolver says that cannot tell whether there is such a name.
	failed finding = "failed"
	// none is all that getent(1) tells.
	none finding = "nothing"
)

func found(addrs ...string) finding {
	slices.Sort(addrs)
	return finding(strings.Join(slices.Compact(addrs), " "))
}

// judge is what the outcome of a look-up comes to.
func judge(addrs []string, err error) finding {
	var failure *net.DNSError
	switch {
	case err == nil:
		return found(addrs...)
	case errors.As(err, &failure) && failure.IsNotFound:
		return notFound
	case errors.As(err, &failure):
		return failed
	}
	return finding(err.Error())
}

// A resolver looks a name up in a host.
type resolver struct {
	name string
	find func(h *nstest.Host, name string) finding
}

// resolvers are Go's and libc's, in programs of their own, and that of Host.
var resolvers = []resolver{
	{"Go", program("go")},
	{"getent", func(h *nstest.Host, name string) finding {
		out, err := h.Command("getent", "ahosts", name).Output()
		if err != nil {
			return none
		}
		var addrs []string
		for line := range strings.Lines(string(out)) {
			addrs = append(addrs, strings.Fields(line)[0])
		}
		return found(addrs...)
	}},
	{"Host.LookupNetIP", func(h *nstest.Host, name string) finding {
		list, err := h.LookupNetIP(context.Background(), name)
		var addrs []string
		for _, a := range list {
			addrs = append(addrs, a.String())
		}
		return judge(addrs, err)
	}},
}

// lookupVariable makes this program look up the name that it holds, and nothing else.
const lookupVariable = "NAMES_LOOK_UP"

// program is a resolver that Go chooses by this name.
func program(netdns string) func(h *nstest.Host, name string) finding {
	return func(h *nstest.Host, name string) finding {
		self, err := os.Executable()
		if err != nil {
			return finding(err.Error())
		}
		cmd := h.Command(self)
		cmd.Env = append(os.Environ(), lookupVariable+"="+name, "GODEBUG=netdns="+netdns, "GORACE=atexit_sleep_ms=0")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return finding(fmt.Sprintf("%v: %s", err, out))
		}
		return finding(out)
	}
}

func lookUp(name string) int {
	addrs, err := net.DefaultResolver.LookupHost(context.Background(), name)
	fmt.Print(judge(addrs, err))
	return 0
}

// find looks a name up in a host with each resolver, at the same time.
func find(h *nstest.Host, name string) []finding {
	got := make([]finding, len(resolvers))
	var wg sync.WaitGroup
	for i, r := range resolvers {
		wg.Go(func() { got[i] = r.find(h, name) })
	}
	wg.Wait()
	return got
}

// expectFound expects each resolver to find this for a name in a host.
func expectFound(h *nstest.Host, name string, want finding) {
	GinkgoHelper()
	expectFindings(find(h, name), want)
}

func expectFindings(got []finding, want finding) {
	GinkgoHelper()
	require.Program("getent")
	for i, r := range resolvers {
		Expect(got[i]).To(Equal(r.tells(want)), "by %s", r.name)
	}
}

// tells is what the resolver can tell of a finding.
func (r resolver) tells(f finding) finding {
	if r.name == "getent" && (f == notFound || f == failed) {
		return none
	}
	return f
}

// addresses are all of hosts.
func addresses(hosts ...*nstest.Host) finding {
	var out []string
	for _, h := range hosts {
		for _, a := range h.Addrs() {
			out = append(out, a.String())
		}
	}
	return found(out...)
}
