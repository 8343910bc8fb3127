package ipc

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// stat looks for a file, with a new tmpfs mounted over the directory if there is one.
var stat = nsx.Register("ipc/stat", func(_ *nsx.Parent, in struct{ Path, Cover string }) (any, error) {
	if in.Cover != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return nil, err
		}
		if err := unix.Mount("tmpfs", in.Cover, "tmpfs", 0, ""); err != nil {
			return nil, err
		}
	}
	_, err := os.Stat(in.Path)
	return nil, err
})

// writeTo writes a number of eight bytes, which is what an eventfd takes, to each of its files.
var writeTo = nsx.Register("ipc/write-to", func(parent *nsx.Parent, data []byte) (any, error) {
	for _, f := range parent.Files {
		if _, err := f.Write(data); err != nil {
			return nil, err
		}
	}
	return nil, nil
})

// writeToNumbers writes to file descriptors by their numbers, and returns the name of the errno for each.
var writeToNumbers = nsx.Register("ipc/write-to-numbers", func(_ *nsx.Parent, fds []int) ([]string, error) {
	var said []string
	for _, fd := range fds {
		_, err := unix.Write(fd, make([]byte, 8))
		errno, _ := err.(unix.Errno)
		said = append(said, unix.ErrnoName(errno))
	}
	return said, nil
})

func registerFiles() {
	property.It("I10", func(ctx SpecContext, c *property.Check) {
		const dir, path = "/dev/shm", "/dev/shm/ours"
		Expect(os.WriteFile(path, nil, 0o600)).To(Succeed())
		look := func(s nsx.Spec, cover string) error {
			_, err := nsx.Run(ctx, s, stat, struct{ Path, Cover string }{path, cover})
			c.Saw("error", err)
			return err
		}
		for _, how := range ways {
			c.Positive(how.String()+" with CLONE_NEWIPC alone changes nothing: our file is there", func() {
				Expect(look(nsx.Spec{How: how, Kinds: nsx.IPC}, "")).To(Succeed())
			})
		}
		c.Negative("with CLONE_NEWNS alone and a tmpfs of its own, it is not", func() {
			Expect(look(nsx.Spec{Kinds: nsx.Mount}, dir)).To(MatchError(unix.ENOENT))
		})
		c.Negative("an environment has one of its own", func() {
			out, err := nstest.New(GinkgoTB(), nstest.Config{}).Self().Command("ls", "-A", dir).Output()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("files there", string(out))
			Expect(out).To(BeEmpty())
		})
	})

	property.It("I11", func(ctx SpecContext, c *property.Check) {
		memory, err := unix.MemfdCreate("memory", unix.MFD_CLOEXEC)
		Expect(err).NotTo(HaveOccurred())
		events, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		Expect(err).NotTo(HaveOccurred())
		var pipe [2]int
		Expect(unix.Pipe2(pipe[:], unix.O_CLOEXEC)).To(Succeed())
		var files []*os.File
		for i, fd := range []int{memory, events, pipe[1], pipe[0]} {
			files = append(files, os.NewFile(uintptr(fd), fmt.Sprint("file ", i)))
			DeferCleanup(files[i].Close)
		}
		theirs := files[:3]
		rewind := func() {
			GinkgoHelper()
			_, err := files[0].Seek(0, io.SeekStart)
			Expect(err).NotTo(HaveOccurred())
		}

		for i, how := range ways {
			c.Positive("what "+how.String()+" with CLONE_NEWIPC writes to a memfd, an eventfd and a pipe that it was given arrives", func() {
				data := binary.NativeEndian.AppendUint64(nil, uint64(i+1))
				rewind() // the offset is shared too
				_, err := nsx.Run(ctx, nsx.Spec{How: how, Kinds: nsx.IPC, Files: theirs}, writeTo, data)
				Expect(err).NotTo(HaveOccurred())
				rewind()
				for _, from := range []struct {
					name string
					file *os.File
				}{{"memfd", files[0]}, {"eventfd", files[1]}, {"pipe", files[3]}} {
					got := make([]byte, len(data))
					_, err := io.ReadFull(from.file, got)
					Expect(err).NotTo(HaveOccurred())
					c.Saw(from.name, got)
					Expect(got).To(Equal(data))
				}
			})
		}
		c.Negative("to those that are closed when a program begins nobody can write", func() {
			var numbers []int
			for _, f := range theirs {
				// A number that the program has not got for a file of its own.
				fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 500)
				Expect(err).NotTo(HaveOccurred())
				DeferCleanup(unix.Close, fd)
				_, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
				Expect(err).NotTo(HaveOccurred(), "here it is open")
				numbers = append(numbers, fd)
			}
			said, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.IPC}, writeToNumbers, numbers)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("errors", said)
			Expect(said).To(HaveEach("EBADF"))
		})
	})
}
