package matchers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/onsi/gomega/types"
)

// Propagation is the propagation type of a mount (mount_namespaces(7)).
type Propagation string

// The types. A mount can be Shared and Slave at the same time; it is Private if it is nothing else.
const (
	Shared     Propagation = "shared"
	Slave      Propagation = "slave"
	Private    Propagation = "private"
	Unbindable Propagation = "unbindable"
)

// HaveMount succeeds if actual's mount namespace has a mount at a path whose propagation is exactly the given types; with
// none given, any. Where mounts are stacked one is enough.
func HaveMount(path string, propagation ...Propagation) types.GomegaMatcher {
	want := slices.Sorted(slices.Values(propagation))
	text := "mount " + path
	if len(want) > 0 {
		text += " " + join(want)
	}
	return &entryMatcher{what: text, list: mounts, is: func(e string) bool {
		return e == text || len(want) == 0 && strings.HasPrefix(e, text+" ")
	}}
}

func join(list []Propagation) string {
	var words []string
	for _, p := range list {
		words = append(words, string(p))
	}
	return strings.Join(words, "+")
}

func mounts(s subject) ([]string, error) {
	text, err := s.read("mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	infos, err := mountinfo.GetMountsFromReader(strings.NewReader(text), nil)
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	var list []string
	for _, i := range infos {
		list = append(list, "mount "+i.Mountpoint+" "+join(propagationOf(i.Optional)))
	}
	return list, nil
}

// propagationOf reads the optional fields of a line of mountinfo, in the order of the types' names.
func propagationOf(optional string) []Propagation {
	var list []Propagation
	for _, tag := range strings.Fields(optional) {
		switch name, _, _ := strings.Cut(tag, ":"); name {
		case "shared":
			list = append(list, Shared)
		case "master":
			list = append(list, Slave)
		case "unbindable":
			list = append(list, Unbindable)
		}
	}
	if len(list) == 0 {
		list = append(list, Private)
	}
	slices.Sort(list)
	return list
}
