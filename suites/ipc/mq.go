package ipc

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// A queue is an open POSIX message queue, mq_overview(7). The calls take names without the slash.
type queue int

// limits are what a queue can hold, mq_getattr(3).
type limits struct {
	flags, messages, messageSize, current int
	_                                     [4]int
}

// openQueue opens a queue, or with O_CREAT makes it with room for ten messages of 8192 bytes.
func openQueue(name string, flags int) (queue, error) {
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		return 0, err
	}
	l := limits{messages: 10, messageSize: 8192}
	fd, err := result(unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(path)), uintptr(flags|unix.O_CLOEXEC), 0o600,
		uintptr(unsafe.Pointer(&l)), 0, 0))
	return queue(fd), err
}

// findQueue opens a queue that is there, and lets go of it.
func findQueue(name string) error {
	q, err := openQueue(name, unix.O_RDWR)
	if err != nil {
		return err
	}
	return q.close()
}

func (q queue) close() error { return unix.Close(int(q)) }

// send puts a message of one byte into the queue.
func (q queue) send() error {
	message := [1]byte{'x'}
	_, err := result(unix.Syscall6(unix.SYS_MQ_TIMEDSEND, uintptr(q), uintptr(unsafe.Pointer(&message)), 1, 0, 0, 0))
	return err
}

// notify asks for a signal when a message comes into the empty queue.
func (q queue) notify(signal unix.Signal) error {
	event := struct { // sigevent(7); how 0 is SIGEV_SIGNAL
		value       uint64
		signal, how int32
		_           [48]byte
	}{signal: int32(signal)}
	_, err := result(unix.Syscall(unix.SYS_MQ_NOTIFY, uintptr(q), uintptr(unsafe.Pointer(&event)), 0))
	return err
}
