package daemons_test

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"
)

// A daemon is a program that runs on a host, until the environment ends. What it prints goes to GinkgoWriter too.
type daemon struct {
	host    *nstest.Host
	name    string
	log     *gbytes.Buffer
	process *nstest.Process
	ended   chan error
}

// start starts a program on a host.
func start(h *nstest.Host, program string, args ...string) *daemon {
	GinkgoHelper()
	d := &daemon{host: h, name: fmt.Sprintf("%s on %s", filepath.Base(program), h.Name()), log: gbytes.NewBuffer(), ended: make(chan error, 1)}
	cmd := h.Command(program, args...)
	cmd.Stdout = io.MultiWriter(d.log, gexec.NewPrefixedWriter("["+d.name+"] ", GinkgoWriter))
	cmd.Stderr = cmd.Stdout
	Expect(cmd.Start()).To(Succeed(), d.name)
	d.process = cmd.Process
	go func() { d.ended <- cmd.Wait() }()
	return d
}

// running is nil while the daemon runs.
func (d *daemon) running() error {
	select {
	case err := <-d.ended:
		d.ended <- err
		return StopTrying(fmt.Sprintf("%s has ended: %v", d.name, err))
	default:
		return nil
	}
}

// said is nil once the daemon has printed a text.
func (d *daemon) said(text string) error {
	if bytes.Contains(d.log.Contents(), []byte(text)) {
		return nil
	}
	if err := d.running(); err != nil {
		return err
	}
	return fmt.Errorf("%s has not said %q yet", d.name, text)
}

// kill ends the daemon without any warning.
func (d *daemon) kill() {
	GinkgoHelper()
	Expect(d.process.Kill()).To(Succeed())
	Eventually(d.ended).Should(Receive(MatchError(ContainSubstring("signal: killed"))), d.name)
}
