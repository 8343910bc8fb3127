package matchers

import (
	"context"
	"fmt"
	"time"

	"github.com/onsi/gomega/types"
)

// patience is how long Reach waits for an answer. What is cut off never gives one.
const patience = 2 * time.Second

// Reach succeeds if a machine can open a TCP connection to an address, "web:80". It takes two seconds where nobody answers.
func Reach(address string) types.GomegaMatcher { return &reachMatcher{address: address} }

type reachMatcher struct {
	address string
	name    string
	err     error // of the connection
}

func (m *reachMatcher) Match(actual any) (bool, error) {
	s, err := subjectOf(actual)
	if err != nil {
		return false, err
	}
	if m.name = s.name; s.host == nil {
		return false, fmt.Errorf("reach %s: %s is no machine (*nstest.Host, *nstest.Env)", m.address, s.name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := s.host.DialContext(ctx, "tcp", m.address)
	if m.err = err; err != nil {
		return false, nil
	}
	return true, conn.Close()
}

func (m *reachMatcher) FailureMessage(any) string {
	return fmt.Sprintf("Expected %s to reach %s\n    %v", m.name, m.address, m.err)
}

func (m *reachMatcher) NegatedFailureMessage(any) string {
	return fmt.Sprintf("Expected %s not to reach %s\n    a connection was opened", m.name, m.address)
}
