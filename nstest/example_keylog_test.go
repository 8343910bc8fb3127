package nstest_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/hermetic-go/nstest/nstest"
)

// Wireshark shows the requests that are in these connections.
func ExampleEnv_KeyLogWriter() {
	dir, err := os.MkdirTemp("", "capture-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	web, err := env.AddHost(nstest.HostConfig{Name: "web"})
	if err != nil {
		log.Fatal(err)
	}
	capture, err := web.Capture(nstest.CaptureConfig{Path: filepath.Join(dir, "tls.pcapng")})
	if err != nil {
		log.Fatal(err)
	}

	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	server.Listener.Close()
	if server.Listener, err = web.Listen("tcp", ":443"); err != nil {
		log.Fatal(err)
	}
	server.TLS = &tls.Config{KeyLogWriter: env.KeyLogWriter()}
	server.StartTLS()
	defer server.Close()

	client := server.Client()
	transport := client.Transport.(*http.Transport)
	transport.DialContext = env.Self().DialContext
	transport.TLSClientConfig.ServerName = "example.com" // whose certificate the server has
	r, err := client.Get("https://web/")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		log.Fatal(err)
	}
	_, err = capture.Stop()
	fmt.Println(string(body), err)
	// Output:
	// hello <nil>
}
