package hygiene

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// daemon is who the servers are: PostgreSQL refuses to be root, and wants a user with a name. This one is everywhere.
var daemon = &nstest.User{UID: 1, GID: 1}

// postgresProgram is one of PostgreSQL's, which Debian keeps out of PATH.
func postgresProgram(name string) string {
	GinkgoHelper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	Expect(err).NotTo(HaveOccurred())
	if len(found) == 0 {
		require.Skip("PostgreSQL is not on this machine", "install its server: apt-get install postgresql")
	}
	return found[len(found)-1]
}

// A server is a running PostgreSQL.
type server struct {
	host *nstest.Host
	key  string // of its shared memory
}

// template is a cluster of databases that servers begin with a copy of. All hosts see it.
const template = "/var/tmp/template"

func makeTemplate(host *nstest.Host) {
	GinkgoHelper()
	initdb := host.Command(postgresProgram("initdb"), "-D", template, "-U", "postgres", "-A", "trust", "--no-locale", "--no-sync")
	initdb.User = daemon
	out, err := initdb.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
}

// shell runs a script on a host, as the servers' user.
func shell(host *nstest.Host, script string) string {
	GinkgoHelper()
	cmd := host.Command("sh", "-ec", script)
	cmd.User = daemon
	out, err := cmd.Output()
	Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(string(out))
}

// serve starts a server on a host, with its data in the host's own /tmp.
func serve(ctx SpecContext, host *nstest.Host) server {
	GinkgoHelper()
	shell(host, "mkdir -m 700 /tmp/data; cp -r "+template+"/. /tmp/data")
	cmd := host.Command(postgresProgram("postgres"), "-D", "/tmp/data", "-k", "/tmp", "-c", "listen_addresses=", "-c", "fsync=off")
	cmd.User = daemon
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	Expect(cmd.Start()).To(Succeed())
	var failed error
	ended := make(chan struct{})
	go func() { defer close(ended); failed = cmd.Wait() }()
	DeferCleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // a fast shutdown, if it has not ended
		<-ended
		Expect(failed).NotTo(HaveOccurred(), log.String)
	})
	var file string
	Eventually(ctx, func() (string, error) {
		select {
		case <-ended:
			return "", StopTrying("the server has ended").Wrap(failed)
		default:
			file = shell(host, "cat /tmp/data/postmaster.pid 2>/dev/null || true") // it is not there at first
			return file, nil
		}
	}).Should(HaveSuffix("ready"))
	const keyAndNumber = 6 // the line of the file that has them
	return server{host, strings.Fields(strings.Split(file, "\n")[keyAndNumber])[0]}
}

// query asks the server for the answer to everything.
func (s server) query() string {
	GinkgoHelper()
	return shell(s.host, postgresProgram("psql")+" -h /tmp -U postgres -Atc 'SELECT 6*7'")
}

// segments are the keys of the System V shared memory that the server's host knows.
func (s server) segments() (keys []string) {
	GinkgoHelper()
	for line := range strings.Lines(shell(s.host, "tail -n +2 /proc/sysvipc/shm")) {
		keys = append(keys, strings.Fields(line)[0])
	}
	return keys
}

func registerPostgres() {
	// A server takes the inode of its data directory for the key of its shared memory, by which a second server on the
	// same data would notice the first. In two equal file systems that is the same number.
	property.Seed("two PostgreSQL servers have the same System V key", func(ctx SpecContext) {
		env := nstest.Current()
		makeTemplate(env.Self())
		pair := func(prefix string, ipc nstest.Sharing) (one, other server) {
			GinkgoHelper()
			var servers []server
			for _, name := range []string{prefix + "1", prefix + "2"} {
				host, err := env.AddHost(nstest.HostConfig{Name: name, IPC: ipc})
				Expect(err).NotTo(HaveOccurred())
				servers = append(servers, serve(ctx, host))
			}
			one, other = servers[0], servers[1]
			Expect(shell(one.host, "stat -c %i /tmp/data")).To(Equal(shell(other.host, "stat -c %i /tmp/data")))
			Expect(one.query()).To(Equal("42"))
			Expect(other.query()).To(Equal("42"))
			return one, other
		}

		By("the control: in one IPC namespace the key of the first is taken, and the second looks for another")
		one, other := pair("shared", nstest.FromSelf)
		AddReportEntry("keys in one IPC namespace", one.key+", "+other.key, ReportEntryVisibilityFailureOrVerbose)
		Expect(one.key).NotTo(Equal(other.key))
		Expect(one.segments()).To(ConsistOf(one.key, other.key))
		Expect(other.segments()).To(ConsistOf(one.key, other.key))

		By("with an IPC namespace each, both have the key that they want, and know no other")
		one, other = pair("own", nstest.Own)
		AddReportEntry("keys in two IPC namespaces", one.key+", "+other.key, ReportEntryVisibilityFailureOrVerbose)
		Expect(one.key).To(Equal(other.key))
		Expect(one.segments()).To(ConsistOf(one.key))
		Expect(other.segments()).To(ConsistOf(one.key))
	})
}
