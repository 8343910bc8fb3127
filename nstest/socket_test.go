package nstest_test

import (
	"sync"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

// A host makes sockets for all who ask at once.
func TestSocketsConcurrently(t *testing.T) {
	env := nstest.New(t, nstest.Config{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				c, err := env.Self().ListenPacket("udp4", ":0")
				if err != nil {
					t.Error(err)
					return
				}
				c.Close()
			}
		})
	}
	wg.Wait()
}
