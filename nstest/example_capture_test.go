package nstest_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/hermetic-go/nstest/nstest"
)

// What two hosts say to each other, in a file that Wireshark opens.
func ExampleHost_Capture() {
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
	server, err := env.AddHost(nstest.HostConfig{Name: "server"})
	if err != nil {
		log.Fatal(err)
	}
	capture, err := server.Capture(nstest.CaptureConfig{Path: filepath.Join(dir, "syn.pcapng"), Filter: "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn"})
	if err != nil {
		log.Fatal(err)
	}
	_, _ = env.Self().DialContext(context.Background(), "tcp4", "server:80") // refused
	stats, err := capture.Stop()
	fmt.Println(stats.Packets, "packet", err)
	// Output:
	// 1 packet <nil>
}
