package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A measurement is what a process sees of its isolation.
type measurement struct {
	Namespaces map[string]string `json:"namespaces"` // by kind: "net:[4026531840]"
	UIDMap     []string          `json:"uid_map"`
	GIDMap     []string          `json:"gid_map"`
	UID        int               `json:"uid"`
	Effective  capSet            `json:"effective"`
	Bounding   capSet            `json:"bounding"`
	Hostname   string            `json:"hostname"`
	Mounts     int               `json:"mounts"`
	Files      []string          `json:"files"`    // those that the process was started with
	Devices    []string          `json:"devices"`  // of the network
	Writable   []string          `json:"writable"` // below /proc/sys and /sys; only where it was asked for
	Failed     []string          `json:"failed"`   // what could not be measured, and why
}

// namespaceKinds are the kinds, by their names below /proc/PID/ns.
var namespaceKinds = []string{"user", "pid", "net", "mnt", "ipc", "uts", "cgroup", "time"}

type measureCommand struct {
	Sweep bool `help:"Try to open every file below /proc/sys and /sys for writing."`
	Stay  bool `help:"Stay, to be looked at from outside, until standard output, a socket, is hung up."`
}

// Run measures the process that it is in.
func (c measureCommand) Run(sys *system) error {
	m := measure()
	if c.Sweep {
		m.Writable = writable("/proc/sys", "/sys")
	}
	if err := json.NewEncoder(sys.Stdout).Encode(m); err != nil {
		return fmt.Errorf("print measurement: %w", err)
	}
	if c.Stay {
		_, _ = io.Copy(io.Discard, sys.Stdout)
	}
	return nil
}

func measure() measurement {
	m := measurement{Namespaces: map[string]string{}, UID: os.Getuid()}
	failed := func(err error) {
		if err != nil {
			m.Failed = append(m.Failed, err.Error())
		}
	}
	for _, kind := range namespaceKinds {
		if link, err := os.Readlink("/proc/self/ns/" + kind); err == nil {
			m.Namespaces[kind] = link
		} else if !os.IsNotExist(err) { // a kind that this kernel does not have
			failed(err)
		}
	}
	var err error
	m.UIDMap, err = lines("/proc/self/uid_map")
	failed(err)
	m.GIDMap, err = lines("/proc/self/gid_map")
	failed(err)
	mounts, err := lines("/proc/self/mountinfo")
	failed(err)
	m.Mounts = len(mounts)
	m.Hostname, err = os.Hostname()
	failed(err)
	m.Files, err = inherited()
	failed(err)
	devices, err := net.Interfaces()
	failed(err)
	for _, d := range devices {
		m.Devices = append(m.Devices, d.Name)
	}
	status, err := lines("/proc/self/status")
	failed(err)
	for _, line := range status {
		name, value, _ := strings.Cut(line, ":")
		set, _ := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		switch name {
		case "CapEff":
			m.Effective = capSet(set)
		case "CapBnd":
			m.Bounding = capSet(set)
		}
	}
	return m
}

func lines(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		out = append(out, strings.Join(strings.Fields(line), " "))
	}
	return out, nil
}

// inherited lists the open files that the process was started with. Those are not marked to be closed by execve(2), or
// they would have been; all that a Go program opens itself is.
func inherited() ([]string, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			out = append(out, e.Name())
		}
	}
	slices.SortFunc(out, func(a, b string) int { return len(a)*10 + strings.Compare(a, b) - len(b)*10 })
	return out, nil
}

// writable lists the files below dirs that open for writing. Nothing is written.
func writable(dirs ...string) []string {
	var out []string
	for _, dir := range dirs {
		// What cannot be entered has nothing to be written in.
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // go on with the others
			}
			fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
			if err == nil {
				out = append(out, path)
				_ = unix.Close(fd)
			}
			return nil
		})
	}
	return out
}
