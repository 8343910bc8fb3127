package smoke_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A program in an environment", func() {
	It("opens environments of its own, four deep", func() {
		levels, err := ask[[]level](fresh().Self(), "nest", "4")
		Expect(err).NotTo(HaveOccurred())
		Expect(levels).To(HaveExactElements(
			HaveField("Hostname", "level-4"), HaveField("Hostname", "level-3"),
			HaveField("Hostname", "level-2"), HaveField("Hostname", "level-1")))
		seen := map[string]bool{}
		for _, l := range levels {
			Expect(seen[l.NetworkNamespace]).To(BeFalse(), "each has a network of its own")
			seen[l.NetworkNamespace] = true
		}
	})
})

// A level is one environment within others, as a program in it sees it.
type level struct{ Hostname, NetworkNamespace string }

// nest opens an environment with a further host, sees that the two talk, and has its own host go on one level deeper.
func nest(depth int) (levels []level, err error) {
	if depth == 0 {
		return []level{}, nil
	}
	env, err := nstest.Open(context.Background(), nstest.Config{Hostname: fmt.Sprint("level-", depth)})
	if err != nil {
		return nil, err
	}
	defer env.Close()
	peer, err := env.AddHost(nstest.HostConfig{Name: "peer"})
	if err != nil {
		return nil, err
	}
	if err := talk(env.Self(), peer); err != nil {
		return nil, fmt.Errorf("depth %d: %w", depth, err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	inner := func(value any, name string, args ...string) error {
		cmd := env.Self().Command(self, args...)
		cmd.Env = append(os.Environ(), probeVariable+"="+name)
		output, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("depth %d: %w", depth, err)
		}
		var r reply
		if err := json.Unmarshal(output, &r); err != nil {
			return err
		}
		if r.Error != "" {
			return fmt.Errorf("%s", r.Error)
		}
		return json.Unmarshal(r.Value, value)
	}
	var id identity
	if err := inner(&id, "identity"); err != nil {
		return nil, err
	}
	var deeper []level
	if err := inner(&deeper, "nest", strconv.Itoa(depth-1)); err != nil {
		return nil, err
	}
	return append([]level{{id.Hostname, id.NetworkNamespace}}, deeper...), nil
}

// talk sends a greeting from one host to the other.
func talk(from, to *nstest.Host) error {
	listener, err := to.Listen("tcp", ":80")
	if err != nil {
		return err
	}
	defer listener.Close()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_, _ = io.WriteString(conn, "hello")
			_ = conn.Close()
		}
	}()
	text, err := greeting(from, "tcp", to.Name()+":80")
	if err == nil && text != "hello" {
		err = fmt.Errorf("the greeting is %q", text)
	}
	return err
}
