package nstest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// KeyLogWriter is what tls.Config.KeyLogWriter is set to so that captures can be read: what is written to it, lines in the format
// of the files that SSLKEYLOGFILE names, is put into the captures that are under way, and into the packets in the bundle of a
// failed test (NSTEST_KEEP). Wireshark and tshark then show what is in connections that are encrypted, with nothing to be set.
// A reader has to know the secrets when it comes to the first packet that is encrypted with them: with TLS 1.3 let it be the
// server that logs them, which sends that packet, and with TLS 1.2 the client; where it may be either, let it be both.
//
// A Write returns when the captures have its lines; what does not end with a newline waits for the rest. Where nothing is captured
// it has no effect. A connection whose handshake was not captured cannot be decrypted. The error is ErrClosed when the
// environment is closed. The writer may be used by any goroutines at the same time.
//
// The secrets are in the file: whoever has it can read the connections.
func (e *Env) KeyLogWriter() io.Writer { return &keyLog{env: e} }

// A keyLog sends lines to the keeper.
type keyLog struct {
	env *Env

	mu   sync.Mutex // guards what follows
	rest []byte     // of a line that has not ended
}

// maxKeyLine is more than any line has: those of TLS have some 180 bytes.
const maxKeyLine = 8 << 10

func (k *keyLog) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for line := range bytes.Lines(b) {
		if len(k.rest)+len(line) > maxKeyLine {
			k.rest = nil
			return 0, wrap("log keys in", k.env.name, "", fmt.Errorf("a line has more than %d bytes", maxKeyLine))
		}
		if k.rest = append(k.rest, line...); line[len(line)-1] != '\n' {
			break
		}
		err := k.env.call(context.Background(), wire.MethodKeyLog, wire.KeyLogParams{Lines: string(k.rest)}, nil)
		if k.rest = k.rest[:0]; err != nil {
			return 0, wrap("log keys in", k.env.name, "", err)
		}
	}
	return len(b), nil
}
