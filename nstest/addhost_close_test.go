package nstest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

// Whoever makes hosts while the environment is closed is told that, at whatever step it was.
func TestHostsWhileTheEnvironmentCloses(t *testing.T) {
	root := t.TempDir()
	for round := range 10 {
		env, err := nstest.Open(context.Background(), nstest.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var work sync.WaitGroup
		reached := make(chan struct{}, 1000)
		for k := range 4 {
			work.Go(func() {
				for i := 0; ; i++ {
					cfg := nstest.HostConfig{Name: fmt.Sprintf("h%d-%d", k, i)}
					if k%2 == 1 {
						cfg.Root = root
					}
					_, err := env.AddHost(cfg)
					if err == nil {
						reached <- struct{}{}
						continue
					}
					if !errors.Is(err, nstest.ErrClosed) && !errors.Is(err, syscall.ESHUTDOWN) {
						t.Error(err)
					}
					return
				}
			})
		}
		for range 2 * round {
			<-reached
		}
		if err := env.Close(); err != nil {
			t.Error(err)
		}
		work.Wait()
	}
}
