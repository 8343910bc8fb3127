package keeper

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"github.com/hermetic-go/nstest/nstest/internal/pcapng"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// Limits of key logs: of what comes at a time, and of what a ring remembers for its other file. A connection has five lines of
// some 150 bytes each.
const (
	maxKeyLog  = 16 << 10
	maxSecrets = 32 << 10
)

// logKeys has the captures that are under way tell readers the secrets of connections.
func (e *environment) logKeys(p wire.KeyLogParams) error {
	text := []byte(p.Lines)
	if len(text) == 0 || len(text) > maxKeyLog || text[len(text)-1] != '\n' {
		return refuse(unix.EINVAL, "%d bytes are no lines of a key log", len(text))
	}
	if slices.ContainsFunc(text, func(b byte) bool { return b != '\n' && (b < ' ' || b > '~') }) {
		return refuse(unix.EINVAL, "a key log has characters of ASCII alone")
	}
	e.mu.Lock()
	list := slices.Collect(maps.Values(e.captures))
	e.mu.Unlock()
	if r := e.recorder.Load(); r != nil && r.ring != nil {
		list = append(list, r.ring)
	}
	for _, c := range list {
		c.tellSecrets(text)
	}
	return nil
}

// tellSecrets writes lines of a key log, if there is room.
func (c *capture) tellSecrets(text []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if c.ring != nil {
		c.ring.remember(text)
	}
	if err := c.out.WriteSecrets(text); errors.Is(err, pcapng.ErrLimit) && c.ring != nil {
		_ = c.turn() // which tells all that is remembered
	}
}

// remember keeps lines for the other file: the packets that they are for may come to be in that.
func (r *ring) remember(text []byte) {
	r.secrets = append(r.secrets, text...)
	if over := len(r.secrets) - maxSecrets; over > 0 {
		_, r.secrets, _ = bytes.Cut(r.secrets[over:], []byte{'\n'})
	}
}
