package robustness

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

// Closing while everything else is under way ends it, and neither harms the keeper nor leaves anything.
func TestCloseWhileOthersWork(t *testing.T) {
	bystander := nstest.New(t, nstest.Config{Name: "bystander"})
	keeper := keeperOf(os.Getpid())
	for i := range times(5, 25, 100) {
		env, err := nstest.Open(context.Background(), nstest.Config{Name: "busy"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := env.AddHost(nstest.HostConfig{Name: "web"}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		begun := make(chan struct{}, 100)
		work := func(f func() error) {
			wg.Go(func() {
				for {
					begun <- struct{}{}
					if err := f(); errors.Is(err, nstest.ErrClosed) {
						return
					}
				}
			})
		}
		for _, name := range []string{"a", "b", "c"} {
			for range 2 { // the second finds the name taken, or removes the first one's host
				work(func() error {
					_, err := env.AddHost(nstest.HostConfig{Name: name})
					if err == nil || errors.Is(err, syscall.EEXIST) {
						err = env.RemoveHost(name)
					}
					return err
				})
			}
		}
		work(func() error { return env.Self().Command("true").Run() })
		work(func() error {
			l, err := env.Self().Listen("tcp", ":0")
			if err == nil {
				err = l.Close()
			}
			return err
		})
		go func() {
			wg.Wait()
			close(begun)
		}()
		for range 8 + 3*i { // later in each round
			<-begun
		}
		closed := make(chan error, 1)
		go func() { closed <- env.Close() }()
		for range begun { // until the last of them has seen the end
		}
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
	}
	if now := keeperOf(os.Getpid()); now != keeper {
		t.Errorf("the keeper was %d and is %d", keeper, now)
	}
	if _, err := bystander.AddHost(nstest.HostConfig{Name: "web"}); err != nil {
		t.Errorf("a bystander: %v", err)
	}
}
