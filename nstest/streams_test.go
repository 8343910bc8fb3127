package nstest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestBothEndsKeepsHeadAndTail(t *testing.T) {
	var all strings.Builder
	b := bothEnds{size: 10}
	for i := range 100 {
		chunk := strings.Repeat(fmt.Sprint(i%10), i%37)
		all.WriteString(chunk)
		if n, err := b.Write([]byte(chunk)); n != len(chunk) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
		want := all.String()
		if n := len(want); n > 20 {
			want = fmt.Sprintf("%s\n... omitting %d bytes ...\n%s", want[:10], n-20, want[n-10:])
		}
		if got := string(b.Bytes()); got != want {
			t.Fatalf("after %d bytes: %q, want %q", all.Len(), got, want)
		}
	}
}

func TestSameComparesWhatCannotBeCompared(t *testing.T) {
	type slice struct{ _ []byte }
	buffer := &bytes.Buffer{}
	if !same(buffer, buffer) || same(buffer, &bytes.Buffer{}) || same(slice{}, slice{}) {
		t.Error("two writers are the same only if they are comparable and equal")
	}
}
