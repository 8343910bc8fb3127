package wire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Strings are what execve(2) takes: bytes without a NUL that need not be UTF-8, which JSON strings have to be. One that
// is not is sent in base64 behind a NUL.
type Strings []string

// MarshalJSON implements json.Marshaler.
func (s Strings) MarshalJSON() ([]byte, error) {
	out := make([]string, len(s))
	for i, v := range s {
		switch {
		case strings.IndexByte(v, 0) >= 0:
			return nil, fmt.Errorf("encode %q: it has a NUL byte", v)
		case utf8.ValidString(v):
			out[i] = v
		default:
			out[i] = "\x00" + base64.StdEncoding.EncodeToString([]byte(v))
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Strings) UnmarshalJSON(b []byte) error {
	var in []string
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	for i, v := range in {
		coded, ok := strings.CutPrefix(v, "\x00")
		if !ok {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(coded)
		if err != nil {
			return fmt.Errorf("decode string: %w", err)
		}
		in[i] = string(raw)
	}
	*s = in
	return nil
}
