package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"

	"github.com/hermetic-go/nstest/suites/microservices/internal/resp"
)

var errNotNumber = errors.New("value is not an integer")

// A store holds the data. Its methods may be called from any goroutine.
type store struct {
	mu   sync.Mutex
	data map[string]string
	file *os.File // every change as a command, oldest first; nil if data may be lost
}

// openStore opens a store with the data in file, which is made if it does not exist. "" is a store in memory alone. A
// last command that was cut short, because the machine went down while it was written, is dropped.
func openStore(file string) (*store, error) {
	s := &store{data: map[string]string{}}
	if file == "" {
		return s, nil
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	counted := &counter{r: f}
	reader := bufio.NewReader(counted)
	var whole int64
	for {
		args, err := resp.ReadCommand(reader)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("read store at byte %d: %w", whole, err), f.Close())
		}
		s.apply(args)
		whole = counted.n - int64(reader.Buffered())
	}
	if err := f.Truncate(whole); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), f.Close())
	}
	s.file = f
	return s, nil
}

func (s *store) apply(args []string) {
	switch {
	case len(args) == 3 && args[0] == "SET":
		s.data[args[1]] = args[2]
	case len(args) == 2 && args[0] == "DEL":
		delete(s.data, args[1])
	}
}

// change keeps a change and then makes it. The mutex is held. The file is not synced: what is written survives the end
// of the process, though not that of the machine.
func (s *store) change(args ...string) error {
	if s.file != nil {
		if err := resp.WriteCommand(s.file, args...); err != nil {
			return fmt.Errorf("keep change: %w", err)
		}
	}
	s.apply(args)
	return nil
}

func (s *store) get(key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.data[key]
	return value, ok
}

func (s *store) set(key, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.change("SET", key, value)
}

func (s *store) del(key string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.data[key]; !ok {
		return 0, nil
	}
	return 1, s.change("DEL", key)
}

func (s *store) incr(key string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int64
	if value, ok := s.data[key]; ok {
		var err error
		if n, err = strconv.ParseInt(value, 10, 64); err != nil {
			return 0, errNotNumber
		}
	}
	n++
	return n, s.change("SET", key, strconv.FormatInt(n, 10))
}

func (s *store) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.data)
}

func (s *store) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}

// A counter counts the bytes that are read through it.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
