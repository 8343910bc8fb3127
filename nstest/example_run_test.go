package nstest_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

// testShop would be called TestShop in a package of its own.
//
// All of it happens inside: the test itself is a machine on the network there, and port 80 is always free.
func testShop(t *testing.T) {
	nstest.Run(t, func(t *testing.T, env *nstest.Env) {
		web, err := env.Host("web").Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		go http.Serve(web, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "this is %s", r.Host)
		}))
		t.Run("answers", func(t *testing.T) {
			resp, err := http.Get("http://web/")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); string(body) != "this is web" {
				t.Errorf("got %q, %v", body, err)
			}
		})
		hostname, err := os.Hostname()
		fmt.Println("the test runs on", hostname, err)
	})
}

func ExampleRun() {
	goTest("TestExampleRun") // go test -run TestShop
	// Output:
	// the test runs on spec <nil>
	// PASS
}
