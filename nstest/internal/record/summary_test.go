package record

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var at = time.Date(2026, 3, 1, 12, 30, 0, 250e6, time.UTC)

func summaryOf(t *testing.T, s *State, width int) string {
	t.Helper()
	var b strings.Builder
	if err := s.Summary(&b, width); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSummaryOfPeace(t *testing.T) {
	s := &State{Time: at, Hosts: []HostState{
		{Name: "self", Processes: []Process{{PID: 1, Args: []string{"nstest-init"}, State: "S"}}},
		{
			Name: "web", Processes: []Process{{PID: 1, Args: []string{"nstest-init"}, State: "S"}, {PID: 2, Args: []string{"/usr/sbin/nginx", "-g", "daemon off"}, State: "S"}},
			Sockets:    []Socket{{Protocol: "tcp", State: "LISTEN", Local: "[::]:80", Receive: 1, Send: 4096, PIDs: []int{2}}, {Protocol: "udp", Local: "0.0.0.0:53"}},
			Interfaces: []Interface{{Name: "lo", State: "unknown"}, {Name: "eth0", Network: "lan", State: "up", Addrs: []string{"10.1.0.3/16", "fe80::1/64"}}},
			Mounts:     []Mount{{Target: "/", Type: "overlay", Options: "rw", Size: 1000, Free: 500}, {Target: "/ro", Type: "ext4", Options: "ro", Size: 1000}},
			Neighbours: []Neighbour{{Addr: "10.1.0.4", Device: "eth0", State: "REACHABLE"}},
			Kernel:     []Statistic{{"Tcp OutRsts", 1}},
			Counters:   []Counter{{Where: "inet filter input rule 1"}},
		},
	}}
	const want = `2 hosts, 3 processes, at 12:30:00.250
  self: 1 process
  web:  2 processes (nginx), 2 sockets, eth0 10.1.0.3
`
	if got := summaryOf(t, s, 0); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSummaryOfTrouble(t *testing.T) {
	s := &State{
		Time: at,
		Faults: []FaultState{
			{Fault: 3, Since: at.Add(-1234 * time.Millisecond), Text: "partition of a, b | c"},
			{Since: at.Add(-90 * time.Second), Text: "a on lan: cable pulled"},
		},
		Cgroup: &Cgroup{Path: "/x", Memory: 1 << 20, Limit: 3 << 20, OOMKills: 2},
		Errors: []string{"list processes: not within 2s"},
		Hosts: []HostState{
			{
				Name: "db",
				Processes: []Process{
					{PID: 2, Args: []string{"/bin/sh", "-c", "exec sleep 1"}, State: "S"},
					{PID: 3, Parent: 2, Args: []string{"[sleep]"}, State: "Z"},
					{PID: 4, Args: []string{"cat", "/mnt/x"}, State: "D", Waits: "open in fuse_wait"},
					{PID: 5, Args: []string{"evil\x1b[31m\n\xff\u202e", ""}, State: "T"},
				},
				Ended: []Ended{
					{PID: 7, Number: 1, Args: []string{"false"}, State: "exit status 1"},
					{PID: 8, Number: 2, Args: []string{"crash"}, State: "signal: segmentation fault (core dumped)"},
				},
				Sockets: []Socket{
					{Protocol: "tcp", State: "LISTEN", Local: "[::]:80", Receive: 6, Send: 5, PIDs: []int{2}},
					{Protocol: "unix", State: "LISTEN", Local: "/run/s", Receive: 2, Send: 1},
					{Protocol: "tcp", State: "ESTABLISHED", Local: "10.1.0.3:1", Remote: "10.1.0.4:80", Send: 5, Retries: 1},
					{Protocol: "tcp", State: "ESTABLISHED", Local: "10.1.0.3:2", Remote: "10.1.0.4:80", Receive: 1},
					{Protocol: "tcp", State: "SYN_SENT", Local: "10.1.0.3:3", Remote: "10.1.0.9:80", Send: 1, Retries: 2, PIDs: []int{4}},
				},
				Interfaces: []Interface{{Name: "eth0", Network: "lan", State: "lowerlayerdown", Addrs: []string{"10.1.0.3/16"}}, {Name: "eth1", Network: "back", State: "down", Down: true}, {Name: "dummy", State: "down", Down: true}},
				Mounts:     []Mount{{Target: "/tmp", Type: "tmpfs", Options: "rw,nosuid", Size: 64 << 20}, {Target: "/data", Type: "ext4", Options: "rw", Size: 1 << 30, Free: 1 << 29, Inodes: 1000, IFree: 3}},
				Neighbours: []Neighbour{{Addr: "10.1.0.9", Device: "eth0", State: "FAILED"}},
				Counters:   []Counter{{Where: "inet filter input rule 3", Packets: 17}},
				Kernel:     []Statistic{{"TcpExt ListenDrops", 4}, {"Tcp OutRsts", 9}},
				Errors:     []string{"mounts: not all was seen: not within 2s"},
			},
		},
	}
	const want = `1 host, 4 processes, at 12:30:00.250
  fault: partition of a, b | c, for 1.2s
  fault: a on lan: cable pulled, for 1m30s
  db: process 8 (crash) has ended: signal: segmentation fault (core dumped)
  db: process 7 (false) has ended: exit status 1
  out of memory: the kernel has killed 2 processes, of 3.0 MiB 1.0 MiB are in use
  db: process 4 (cat /mnt/x) cannot be interrupted in open in fuse_wait
  db: process 5 (evil\x1b[31m\n�\u202e "") is stopped
  db: process 3 ([sleep]) is a zombie: process 2 (/bin/sh -c "exec sleep 1") has not waited for it
  db: tcp [::]:80 of sh[2] accepts nobody: 6 connections wait, and there is no room for more
  db: unix /run/s accepts nobody: 2 connections wait, and there is no room for more
  db: eth0 on lan has no carrier
  db: eth1 on back was set down in the host
  db: /tmp is full: 0 bytes of 64.0 MiB are free (tmpfs)
  db: /data is full: 3 of 1000 files are left (ext4)
  db: 10.1.0.9 on eth0 does not answer: FAILED
  db: tcp 10.1.0.3:1 has 5 bytes that 10.1.0.4:80 does not acknowledge, after 1 retry
  db: tcp 10.1.0.3:3 of cat[4] is being connected to 10.1.0.9:80, after 2 retries
  db: tcp 10.1.0.3:2 has 1 byte from 10.1.0.4:80 that nobody has read
  db: inet filter input rule 3: 17 packets
  db: TcpExt ListenDrops: 4
  not seen: list processes: not within 2s
  not seen: db: mounts: not all was seen: not within 2s
  db: 4 processes (sh, [sleep], cat, …), 5 sockets, eth0 10.1.0.3 lowerlayerdown, eth1 down, dummy down
`
	if got := summaryOf(t, s, 0); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for line := range strings.Lines(summaryOf(t, s, 40)) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 40 {
			t.Errorf("%q has %d characters", line, n)
		}
	}
}

func TestSummaryIsShort(t *testing.T) {
	s := &State{Time: at}
	for i := range 50 {
		h := HostState{Name: fmt.Sprintf("host%d", i)}
		for pid := range 100 {
			h.Processes = append(h.Processes, Process{PID: pid, Args: []string{fmt.Sprintf("p%d", pid)}, State: "D"})
		}
		s.Hosts = append(s.Hosts, h)
	}
	got := strings.Split(strings.TrimSuffix(summaryOf(t, s, 0), "\n"), "\n")
	if want := 1 + mostLines + 1 + mostHosts + 1; len(got) != want {
		t.Errorf("%d lines, want %d:\n%s", len(got), want, strings.Join(got, "\n"))
	}
	if want := "  … and 4996 more processes that hang"; got[1+mostLines] != want {
		t.Errorf("got %q, want %q", got[1+mostLines], want)
	}
	if want := "  … and 38 more hosts"; got[len(got)-1] != want {
		t.Errorf("got %q, want %q", got[len(got)-1], want)
	}
}
