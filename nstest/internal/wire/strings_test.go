package wire

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestStringsKeepEveryByte(t *testing.T) {
	want := Strings{"", "plain", "ünï", "latin \xfc\xff", "\x80"}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Strings
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := json.Marshal(Strings{"a\x00b"}); err == nil {
		t.Error("a NUL byte was accepted")
	}
}
