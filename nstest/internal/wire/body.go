package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The bodies of frames, each as it is sent and as it is received. A receiver never decodes a peer's value without a
// type: maps and slices of any take many times the bytes that they came in.
type (
	requestBody struct {
		Method string
		Params any `json:",omitempty"`
	}
	receivedRequest struct {
		Method string
		Params json.RawMessage
	}
	replyBody struct {
		Result any    `json:",omitempty"`
		Error  *Error `json:",omitempty"`
	}
	receivedReply struct {
		Result json.RawMessage
		Error  *Error
	}
)

// encode returns a frame with room for its header. The error is ErrTooLarge over MaxBody.
func encode(body any) ([]byte, error) {
	var b bytes.Buffer
	b.Write(make([]byte, headerSize))
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return nil, err
	}
	frame := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if n := len(frame) - headerSize; n > MaxBody {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, n, MaxBody)
	}
	return frame, nil
}

// decode reads exactly one JSON value without unknown fields.
func decode(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err == io.EOF {
		return errors.New("no JSON value")
	} else if err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}

// isNone reports whether a value was left out or is null.
func isNone(v json.RawMessage) bool { return len(v) == 0 || string(v) == "null" }
