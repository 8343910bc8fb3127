package ipc

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A kind of System V objects, sysvipc(7). An object holds one byte for us.
type kind struct {
	name string
	get  func(key, flags int) (id int, err error)
	set  func(id int, value byte) error
	read func(id int) (byte, error)
}

var kinds = []kind{
	{"shared memory", shmget, setSegment, readSegment},
	{"semaphores", semget, setSemaphore, readSemaphore},
	{"message queue", msgget, setQueue, readQueue},
}

// An outcome is what a call says for each kind: "found", or the name of the errno.
type outcome map[string]string

// each is o for every kind.
func each(o string) outcome {
	all := outcome{}
	for _, k := range kinds {
		all[k.name] = o
	}
	return all
}

func (o outcome) add(k kind, err error) {
	o[k.name] = "found"
	if err != nil {
		o[k.name] = err.Error()
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		o[k.name] = unix.ErrnoName(errno)
	}
}

// byKey looks for an object of each kind.
func byKey(key int) outcome {
	o := outcome{}
	for _, k := range kinds {
		_, err := k.get(key, 0)
		o.add(k, err)
	}
	return o
}

// byID reads the object of each kind whose id is known.
func byID(ids map[string]int) outcome {
	o := outcome{}
	for _, k := range kinds {
		_, err := k.read(ids[k.name])
		o.add(k, err)
	}
	return o
}

// store makes an object of each kind where there is none, has it hold value, and returns the ids.
func store(key int, value byte) (map[string]int, error) {
	ids := map[string]int{}
	for _, k := range kinds {
		id, err := k.get(key, unix.IPC_CREAT|0o600)
		if err != nil {
			return nil, err
		}
		if err := k.set(id, value); err != nil {
			return nil, err
		}
		ids[k.name] = id
	}
	return ids, nil
}

// values are what the objects of a key hold.
func values(key int) (map[string]byte, error) {
	found := map[string]byte{}
	for _, k := range kinds {
		id, err := k.get(key, 0)
		if err != nil {
			return nil, err
		}
		if found[k.name], err = k.read(id); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// segmentSize is that of all our segments.
const segmentSize = 64 << 10

func shmget(key, flags int) (int, error) { return unix.SysvShmGet(key, segmentSize, flags) }

func attached(id int, do func(memory []byte)) error {
	memory, err := unix.SysvShmAttach(id, 0, 0)
	if err != nil {
		return err
	}
	do(memory)
	return unix.SysvShmDetach(memory)
}

func setSegment(id int, value byte) error {
	return attached(id, func(memory []byte) { memory[0] = value })
}

func readSegment(id int) (value byte, err error) {
	err = attached(id, func(memory []byte) { value = memory[0] })
	return value, err
}

// Commands of semctl(2).
const (
	getval = 12
	setval = 16
)

func semget(key, flags int) (int, error) {
	return result(unix.Syscall(unix.SYS_SEMGET, uintptr(key), 1, uintptr(flags)))
}

func setSemaphore(id int, value byte) error {
	_, err := result(unix.Syscall6(unix.SYS_SEMCTL, uintptr(id), 0, setval, uintptr(value), 0, 0))
	return err
}

func readSemaphore(id int) (byte, error) {
	value, err := result(unix.Syscall(unix.SYS_SEMCTL, uintptr(id), 0, getval))
	return byte(value), err
}

// A text is a message, msgop(2).
type text struct {
	kind  int
	value byte
}

func msgget(key, flags int) (int, error) {
	return result(unix.Syscall(unix.SYS_MSGGET, uintptr(key), uintptr(flags), 0))
}

// setQueue leaves one message in a queue.
func setQueue(id int, value byte) error {
	for {
		_, err := receive(id)
		if errors.Is(err, unix.ENOMSG) {
			break
		}
		if err != nil {
			return err
		}
	}
	m := text{1, value}
	_, err := result(unix.Syscall6(unix.SYS_MSGSND, uintptr(id), uintptr(unsafe.Pointer(&m)), 1, unix.IPC_NOWAIT, 0, 0))
	return err
}

// readQueue takes the message and puts it back.
func readQueue(id int) (byte, error) {
	value, err := receive(id)
	if err != nil {
		return 0, err
	}
	return value, setQueue(id, value)
}

func receive(id int) (byte, error) {
	var m text
	_, err := result(unix.Syscall6(unix.SYS_MSGRCV, uintptr(id), uintptr(unsafe.Pointer(&m)), 1, 0, unix.IPC_NOWAIT, 0))
	return m.value, err
}
