// Package capture_test shows what captures of packets have and lack, as Wireshark's tshark reads them.
package capture_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) { os.Exit(leaks.Main(m)) }

func TestCapture(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	nstest.RunSpecs(t, "Capture")
}

// file is the name of a new capture.
func file() string { return filepath.Join(GinkgoT().TempDir(), "capture.pcapng") }

// begin begins a capture.
func begin(f func(nstest.CaptureConfig) (*nstest.Capture, error), cfg nstest.CaptureConfig) *nstest.Capture {
	GinkgoHelper()
	if cfg.Path == "" {
		cfg.Path = file()
	}
	c, err := f(cfg)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(c.Stop)
	return c
}

func stop(c *nstest.Capture) nstest.CaptureStats {
	GinkgoHelper()
	s, err := c.Stop()
	Expect(err).NotTo(HaveOccurred())
	return s
}

func stat(c *nstest.Capture) nstest.CaptureStats {
	GinkgoHelper()
	s, err := c.Flush()
	Expect(err).NotTo(HaveOccurred())
	return s
}

// statistics are those of the interfaces, which tshark does not show.
func statistics(path string) (list []string) {
	GinkgoHelper()
	text, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	le := binary.LittleEndian
	var names []string
	for len(text) > 0 {
		block := text[:le.Uint32(text[4:])]
		text = text[len(block):]
		switch le.Uint32(block) {
		case 1: // the interface's description begins with its name
			names = append(names, string(block[20:][:le.Uint16(block[18:])]))
		case 5:
			list = append(list, fmt.Sprintf("%s: %d, %d lost", names[le.Uint32(block[8:])], le.Uint64(block[24:]), le.Uint64(block[36:])))
		}
	}
	return list
}

// read is what tshark tells of each packet: these fields, separated by spaces. It warns of nothing.
func read(path string, fields ...string) []string {
	GinkgoHelper()
	return tshark(path, append([]string{"-T", "fields", "-E", "separator= "}, flags("-e", fields)...)...)
}

func flags(flag string, values []string) (list []string) {
	for _, v := range values {
		list = append(list, flag, v)
	}
	return list
}

func tshark(path string, args ...string) []string {
	GinkgoHelper()
	program, err := exec.LookPath("tshark")
	if err != nil {
		require.Skip("tshark is not installed", "install the package tshark")
	}
	cmd := exec.Command(program, append([]string{"-n", "-r", path}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+GinkgoT().TempDir())
	var warnings strings.Builder
	cmd.Stderr = &warnings
	out, err := cmd.Output()
	Expect(err).NotTo(HaveOccurred(), "%s", &warnings)
	told := slices.DeleteFunc(strings.Split(warnings.String(), "\n"), func(line string) bool {
		return line == "" || strings.HasPrefix(line, "Running as user \"root\"")
	})
	Expect(told).To(BeEmpty(), "tshark warns")
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" })
}

// send sends a datagram to a port at which a host listens, over IPv4, and returns when it has arrived.
func send(from *nstest.Host, to, port, text string) {
	GinkgoHelper()
	env := nstest.Current()
	l, err := env.Host(to).ListenPacket("udp4", ":"+port)
	Expect(err).NotTo(HaveOccurred())
	defer l.Close()
	c, err := from.DialContext(context.Background(), "udp4", net.JoinHostPort(to, port))
	Expect(err).NotTo(HaveOccurred())
	defer c.Close()
	_, err = c.Write([]byte(text))
	Expect(err).NotTo(HaveOccurred())
	got := make([]byte, len(text)+1)
	Expect(l.SetReadDeadline(time.Now().Add(30 * time.Second))).To(Succeed())
	n, _, err := l.ReadFrom(got)
	Expect(err).NotTo(HaveOccurred())
	Expect(string(got[:n])).To(Equal(text))
}
