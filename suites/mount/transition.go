package mount

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/suites/property"
)

// A state is how a mount propagates; types are what mountinfo then says of it.
type state struct {
	name  string
	types []matchers.Propagation
	// made are the flags that lead there, one after the other, from a mount that shares with a peer.
	made []uintptr
}

var (
	isShared     = state{"shared", []matchers.Propagation{matchers.Shared}, nil}
	isSlave      = state{"slave", []matchers.Propagation{matchers.Slave}, []uintptr{slave}}
	isBoth       = state{"slave and shared", []matchers.Propagation{matchers.Shared, matchers.Slave}, []uintptr{slave, shared}}
	isPrivate    = state{"private", []matchers.Propagation{matchers.Private}, []uintptr{alone}}
	isUnbindable = state{"unbindable", []matchers.Propagation{matchers.Unbindable}, []uintptr{unbindable}}
)

// A step is one of the four calls that change a state.
type step struct {
	name string
	flag uintptr
}

var steps = []step{{"shared", shared}, {"slave", slave}, {"private", alone}, {"unbindable", unbindable}}

// transitions is the table of mount_namespaces(7): what becomes of a mount by each of the steps.
var transitions = []struct {
	from state
	to   [4]state
}{
	{isShared, [4]state{isShared, isSlave, isPrivate, isUnbindable}},
	{isSlave, [4]state{isBoth, isSlave, isPrivate, isUnbindable}},
	{isBoth, [4]state{isBoth, isSlave, isPrivate, isUnbindable}},
	{isPrivate, [4]state{isShared, isPrivate, isPrivate, isUnbindable}},
	{isUnbindable, [4]state{isShared, isUnbindable, isPrivate, isUnbindable}},
}

// peered makes a mount at path that is in a state, and the peer that it began with, which stays shared.
func peered(path, peer string, s state) {
	GinkgoHelper()
	do(outside, mkdir(path), mkdir(peer), tmpfs(peer), propagate(peer, shared), bind(peer, path, 0))
	for _, flag := range s.made {
		do(outside, propagate(path, flag))
	}
	Expect(outside).To(matchers.HaveMount(path, s.types...))
}

func registerTransitions() {
	for _, t := range transitions {
		for i, step := range steps {
			property.Seed(fmt.Sprintf("a %s mount that is made %s is then %s", t.from.name, step.name, t.to[i].name), func(SpecContext) {
				dir := ground(alone)
				path, peer := dir+"/mount", dir+"/peer"
				peered(path, peer, t.from)
				do(outside, propagate(path, step.flag))
				Expect(outside).To(matchers.HaveMount(path, t.to[i].types...))
				Expect(outside).To(matchers.HaveMount(peer, matchers.Shared), "its peer is what it was")
			})
		}
	}

	for i, step := range steps {
		property.Seed("in a tree that is made "+step.name+" recursively each mount goes its own way", func(SpecContext) {
			dir := ground(alone, "tree")
			tree := dir + "/tree"
			do(outside, tmpfs(tree))
			path := func(k int) string { return fmt.Sprint(tree, "/", k) }
			for k, t := range transitions {
				peered(path(k), fmt.Sprint(dir, "/", k), t.from)
			}

			do(outside, propagate(tree, step.flag))
			for k, t := range transitions {
				Expect(outside).To(matchers.HaveMount(path(k), t.from.types...), "without MS_REC it is what it was")
			}
			do(outside, propagate(tree, step.flag|recursive))
			for k, t := range transitions {
				Expect(outside).To(matchers.HaveMount(path(k), t.to[i].types...))
			}
		})
	}

	property.Seed("a shared mount without a peer that is made slave has no master and is private", func(SpecContext) {
		path := ground(shared)
		Expect(outside).To(matchers.HaveMount(path, matchers.Shared))
		do(outside, propagate(path, slave))
		Expect(outside).To(matchers.HaveMount(path, matchers.Private))
	})

	property.Seed("a slave whose master has gone has the master's master, and is private when that has gone too", func(SpecContext) {
		dir := ground(alone, "top", "middle", "last")
		top, middle, last := dir+"/top", dir+"/middle", dir+"/last"
		do(outside, tmpfs(top), propagate(top, shared), bind(top, middle, 0), propagate(middle, slave), propagate(middle, shared),
			bind(middle, last, 0), propagate(last, slave))
		masterOfAll := strings.Replace(tags(outside, top), "shared:", "master:", 1)
		Expect(tags(outside, middle)).To(HaveSuffix(masterOfAll))
		Expect(tags(outside, last)).NotTo(Equal(masterOfAll))
		do(outside, umount(middle))
		Expect(tags(outside, last)).To(Equal(masterOfAll))
		do(outside, umount(top))
		Expect(outside).To(matchers.HaveMount(last, matchers.Private))
	})
}
