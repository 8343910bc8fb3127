package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/look"
)

// A measurement is what a process sees of its isolation.
type measurement struct {
	Namespaces map[string]string `json:"namespaces"` // by kind: "net:[4026531840]"
	UIDMap     []string          `json:"uid_map"`
	GIDMap     []string          `json:"gid_map"`
	UID        int               `json:"uid"`
	Effective  look.CapSet       `json:"effective"`
	Bounding   look.CapSet       `json:"bounding"`
	Hostname   string            `json:"hostname"`
	Mounts     int               `json:"mounts"`
	Files      []string          `json:"files"`    // those that the process was started with
	Devices    []string          `json:"devices"`  // of the network
	Writable   []string          `json:"writable"` // below /proc/sys and /sys; only where it was asked for
	Failed     []string          `json:"failed"`   // what could not be measured, and why
}

type measureCommand struct {
	Sweep bool `help:"Try to open every file below /proc/sys and /sys for writing."`
	Stay  bool `help:"Stay, to be looked at from outside, until standard output, a socket, is hung up."`
}

// Run measures the process that it is in.
func (c measureCommand) Run(sys *system) error {
	m := measure()
	if c.Sweep {
		m.Writable = look.Writable("/proc/sys", "/sys")
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
	for _, kind := range look.Kinds {
		if link, err := os.Readlink("/proc/self/ns/" + kind); err == nil {
			m.Namespaces[kind] = link
		} else if !os.IsNotExist(err) { // a kind that this kernel does not have
			failed(err)
		}
	}
	var err error
	m.UIDMap, err = look.Lines("/proc/self/uid_map")
	failed(err)
	m.GIDMap, err = look.Lines("/proc/self/gid_map")
	failed(err)
	mounts, err := look.Lines("/proc/self/mountinfo")
	failed(err)
	m.Mounts = len(mounts)
	m.Hostname, err = os.Hostname()
	failed(err)
	m.Files, err = look.Inherited()
	failed(err)
	devices, err := net.Interfaces()
	failed(err)
	for _, d := range devices {
		m.Devices = append(m.Devices, d.Name)
	}
	status, err := look.Lines("/proc/self/status")
	failed(err)
	for _, line := range status {
		name, value, _ := strings.Cut(line, ":")
		set, _ := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		switch name {
		case "CapEff":
			m.Effective = look.CapSet(set)
		case "CapBnd":
			m.Bounding = look.CapSet(set)
		}
	}
	return m
}
