package pcapng_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/pcapng"
)

// Whatever the limit, the file keeps to it and has its statistics.
func TestLimit(t *testing.T) {
	var whole int
	for limit := int64(2000); limit >= 0; limit-- { // 0 is none
		var file bytes.Buffer
		w, err := pcapng.NewWriter(&file, limit, "test", "")
		interfaces := 0
		for i := 0; err == nil && i < 10; i++ {
			if _, err = w.AddInterface(pcapng.Interface{Name: "a/eth0", Filter: "tcp"}); err == nil {
				interfaces++
				err = w.WritePacket(pcapng.Packet{Interface: i, Time: time.Unix(0, 0), Data: make([]byte, 30)})
			}
		}
		if err != nil && !errors.Is(err, pcapng.ErrLimit) || err != nil && limit == 0 {
			t.Fatalf("limit %d: %v", limit, err)
		}
		for i := range interfaces {
			if err := w.WriteStatistics(i, time.Unix(0, 0), 1, 2); err != nil {
				t.Errorf("limit %d: statistics of interface %d of %d: %v", limit, i, interfaces, err)
			}
		}
		if limit > 0 && int64(file.Len()) > limit || w != nil && w.Size() != int64(file.Len()) {
			t.Errorf("limit %d: %d bytes", limit, file.Len())
		}
		if err == nil {
			whole = file.Len()
		} else if whole > 0 && limit >= int64(whole) {
			t.Errorf("limit %d: %v, for %d bytes", limit, err, whole)
		}
	}
	if whole == 0 || whole >= 2000 {
		t.Errorf("the whole file has %d bytes", whole)
	}
}
