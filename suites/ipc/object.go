package ipc

import (
	"fmt"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// ways are those that make a namespace.
var ways = []nsx.Way{nsx.Clone, nsx.Clone3, nsx.Unshare}

// A deposit is a value that the objects of a key are to hold.
type deposit struct {
	Key   int
	Value byte
}

// hold makes objects, reports their ids, and returns their values as they are when it may go on.
var hold = nsx.Register("ipc/hold", func(parent *nsx.Parent, d deposit) (map[string]byte, error) {
	ids, err := store(d.Key, d.Value)
	if err != nil {
		return nil, err
	}
	if err := parent.Report(ids, nil); err != nil {
		return nil, err
	}
	return values(d.Key)
})

// overwrite gives objects a value, makes them if need be, and returns what they hold then.
var overwrite = nsx.Register("ipc/overwrite", func(_ *nsx.Parent, d deposit) (map[string]byte, error) {
	if _, err := store(d.Key, d.Value); err != nil {
		return nil, err
	}
	return values(d.Key)
})

// A search is for objects by a key, or by the ids that they have somewhere, or by both.
type search struct {
	Key int            `json:",omitempty"`
	IDs map[string]int `json:",omitempty"`
}

// finds are what a search says.
type finds struct{ ByKey, ByID outcome }

var find = nsx.Register("ipc/find", func(_ *nsx.Parent, s search) (finds, error) {
	var f finds
	if s.Key != 0 { // IPC_PRIVATE, which makes one
		f.ByKey = byKey(s.Key)
	}
	if s.IDs != nil {
		f.ByID = byID(s.IDs)
	}
	return f, nil
})

// held are the objects that a process of the given spec makes and holds until the spec's end, by their ids.
func held(ctx SpecContext, s nsx.Spec, d deposit) (holder *nsx.Process[map[string]byte], ids map[string]int) {
	GinkgoHelper()
	holder, err := nsx.Spawn(ctx, s, hold, d)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(holder.Close)
	Expect(holder.Await(&ids)).To(Succeed())
	return holder, ids
}

// rewritten is what a holder in a namespace of its own reads again when a process of the given spec has written the
// value 2 by the same key, and what that process reads.
func rewritten(ctx SpecContext, c *property.Check, key int, into func(holder *os.File) nsx.Spec) (first, second map[string]byte) {
	GinkgoHelper()
	holder, _ := held(ctx, nsx.Spec{Kinds: nsx.IPC}, deposit{key, 1})
	second, err := nsx.Run(ctx, into(holder.PIDFD()), overwrite, deposit{key, 2})
	Expect(err).NotTo(HaveOccurred())
	Expect(holder.Continue(nil)).To(Succeed())
	first, err = holder.Result()
	Expect(err).NotTo(HaveOccurred())
	c.Saw("who has written 1 reads", first)
	c.Saw("who has written 2 reads", second)
	return first, second
}

// eachHolds is a value for every kind of object.
func eachHolds(value byte) map[string]byte {
	all := map[string]byte{}
	for _, k := range kinds {
		all[k.name] = value
	}
	return all
}

func registerObjects() {
	const key = 0x6e73

	property.It("I1", func(ctx SpecContext, c *property.Check) {
		c.Positive("what a clone without CLONE_NEWIPC makes we find by its key", func() {
			held(ctx, nsx.Spec{}, deposit{key, 1})
			found := byKey(key)
			c.Saw("outside", found)
			Expect(found).To(Equal(each("found")))
		})
		for i, how := range ways {
			c.Negative("what "+how.String()+" with CLONE_NEWIPC makes we do not", func() {
				theirs := key + 1 + i
				holder, _ := held(ctx, nsx.Spec{How: how, Kinds: nsx.IPC}, deposit{theirs, 1})
				join := nsx.Spec{How: nsx.Setns, Kinds: nsx.IPC, Into: []*os.File{holder.PIDFD()}}
				inside, err := nsx.Run(ctx, join, find, search{Key: theirs})
				Expect(err).NotTo(HaveOccurred())
				outside := byKey(theirs)
				c.Saw("inside", inside.ByKey)
				c.Saw("outside", outside)
				Expect(inside.ByKey).To(Equal(each("found")))
				Expect(outside).To(Equal(each("ENOENT")))
			})
		}
	})

	property.It("I2", func(ctx SpecContext, c *property.Check) {
		c.Positive("who joins the namespace by setns writes to the same objects", func() {
			first, second := rewritten(ctx, c, key, func(holder *os.File) nsx.Spec {
				return nsx.Spec{How: nsx.Setns, Kinds: nsx.IPC, Into: []*os.File{holder}}
			})
			Expect(first).To(Equal(eachHolds(2)))
			Expect(second).To(Equal(eachHolds(2)))
		})
		for _, how := range ways {
			c.Negative("in another one, made by "+how.String()+", the key is that of others", func() {
				first, second := rewritten(ctx, c, key, func(*os.File) nsx.Spec { return nsx.Spec{How: how, Kinds: nsx.IPC} })
				Expect(first).To(Equal(eachHolds(1)))
				Expect(second).To(Equal(eachHolds(2)))
			})
		}
	})

	property.It("I3", func(ctx SpecContext, c *property.Check) {
		ids, err := store(key, 1)
		Expect(err).NotTo(HaveOccurred())
		c.Positive("a clone without CLONE_NEWIPC reads our objects by their ids", func() {
			found, err := nsx.Run(ctx, nsx.Spec{}, find, search{IDs: ids})
			Expect(err).NotTo(HaveOccurred())
			c.Saw("ids", ids)
			c.Saw("there", found.ByID)
			Expect(found.ByID).To(Equal(each("found")))
		})
		for _, how := range ways {
			c.Negative(how.String()+" with CLONE_NEWIPC finds nothing by these ids", func() {
				found, err := nsx.Run(ctx, nsx.Spec{How: how, Kinds: nsx.IPC}, find, search{IDs: ids})
				Expect(err).NotTo(HaveOccurred())
				c.Saw("there", found.ByID)
				Expect(found.ByID).To(Equal(each("EINVAL")))
			})
		}
	})

	// An id is as good as a key, and as bad: it is a number of its namespace.
	property.Seed("SysV shm/sem/msg by key and by id: both mean nothing in another namespace, or something else", func(ctx SpecContext) {
		ids, err := store(key, 1)
		Expect(err).NotTo(HaveOccurred())

		By("sharing the namespace, where both lead to our objects")
		Expect(nsx.Run(ctx, nsx.Spec{}, find, search{key, ids})).To(Equal(finds{each("found"), each("found")}))

		By("another one, which is empty")
		Expect(nsx.Run(ctx, nsx.Spec{Kinds: nsx.IPC}, find, search{key, ids})).To(Equal(finds{each("ENOENT"), each("EINVAL")}))

		By("another one, in which somebody has the same ids for objects of another key")
		holder, theirs := held(ctx, nsx.Spec{Kinds: nsx.IPC}, deposit{key + 1, 2})
		Expect(theirs).To(Equal(ids), "every namespace counts from 0")
		join := nsx.Spec{How: nsx.Setns, Kinds: nsx.IPC, Into: []*os.File{holder.PIDFD()}}
		Expect(nsx.Run(ctx, join, find, search{key, ids})).To(Equal(finds{each("ENOENT"), each("found")}))
		Expect(values(key)).To(Equal(eachHolds(1)), fmt.Sprintf("ours, of ids %v, are untouched", ids))
	})
}
