package bench

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// peers are what others do for the same, as far as the machine has them.
func peers() []*row {
	nothing := func() error { return nil }
	command := func(name string, args ...string) func(int) (round, error) {
		return func(int) (round, error) {
			f := func() error {
				out, err := exec.Command(name, args...).CombinedOutput()
				if err != nil {
					err = fmt.Errorf("%w: %s", err, out)
				}
				return err
			}
			if _, err := exec.LookPath(name); err != nil {
				return round{}, err
			}
			if err := f(); err != nil {
				return round{}, err
			}
			return timed(f, nothing), nil
		}
	}
	return []*row{
		{name: "unshare/true", enter: command("unshare", "--user", "--map-root-user", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--fork", "--mount-proc", "true")},
		{name: "bwrap/true", enter: command("bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "true")},
		{name: "ip-batch/2-net-only-hosts", enter: ipBatch},
	}
}

// topology is what a shell with ip(8) does for each line that it reads: two network namespaces on a bridge, up and with addresses, and
// then nothing of it. It lives in network and mount namespaces of its own.
const topology = `set -e
mount -t tmpfs tmpfs /run
mkdir /run/netns
while read -r _; do
ip -batch - <<END
netns add a
netns add b
link add br0 type bridge
link set br0 up
link add pa type veth peer name eth0 netns a
link add pb type veth peer name eth0 netns b
link set pa master br0 up
link set pb master br0 up
END
for host in a:2 b:3; do
ip -n "${host%:*}" -batch - <<END
link set lo up
address add 10.0.0.${host#*:}/24 dev eth0
address add fd00::${host#*:}/64 dev eth0 nodad
link set eth0 up
END
done
ip -batch - <<END
link delete pa
link delete pb
link delete br0
netns delete a
netns delete b
END
echo done
done`

func ipBatch(int) (round, error) {
	if os.Geteuid() != 0 {
		return round{}, errors.New("ip netns needs root")
	}
	for _, name := range []string{"ip", "unshare"} {
		if _, err := exec.LookPath(name); err != nil {
			return round{}, err
		}
	}
	shell := exec.Command("unshare", "--net", "--mount", "sh", "-c", topology)
	shell.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var complaint strings.Builder
	shell.Stderr = &complaint
	in, err := shell.StdinPipe()
	if err != nil {
		return round{}, err
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		return round{}, err
	}
	if err := shell.Start(); err != nil {
		return round{}, err
	}
	lines := bufio.NewReader(out)
	f := func() error {
		_, err := fmt.Fprintln(in)
		if err == nil {
			_, err = lines.ReadString('\n')
		}
		if err != nil {
			err = fmt.Errorf("%w: %s", err, complaint.String())
		}
		return err
	}
	stop := func() error { return errors.Join(in.Close(), shell.Wait()) }
	if err := f(); err != nil {
		return round{}, errors.Join(err, stop())
	}
	return timed(f, stop), nil
}
