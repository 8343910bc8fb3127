package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hermetic-go/nstest/nstest"
)

// A column is there if it has something for somebody.
func TestPrintListings(t *testing.T) {
	t.Parallel()
	plain := nstest.Listing{ID: "7.1", Name: "env", Kind: "open", Began: time.Now(), Hosts: []string{"self"}, Processes: 2, Memory: 3 << 20, UID: os.Geteuid(), Command: []string{"/bin/nstest", "run", "sh"}}
	spec := nstest.Listing{ID: "8.2", Name: "a shop sells", Kind: "spec", Began: time.Now().Add(-time.Hour), Hosts: []string{"self", "web"}, Processes: 4, Memory: 5 << 20, UID: os.Geteuid(), Command: []string{"/tmp/shop.test"}}
	at := spec
	at.At = nstest.Position{Text: "waiting until all of the goods that were ordered are there", Location: "/src/shop_test.go:41", Since: time.Now().Add(-5 * time.Minute)}
	subtest := spec
	subtest.At = nstest.Position{Text: "TestShop/\x1b[31m", Since: time.Now().Add(-2 * time.Minute)}
	for name, c := range map[string]struct {
		list []nstest.Listing
		want string
	}{
		"nothing": {nil, ""},
		"nowhere": {[]nstest.Listing{plain, spec}, `
ID AGE PROCS MEMORY HOSTS PROGRAM NAME
7.1 0s 2 3.0 MiB self nstest run sh
8.2 1h0m 4 5.0 MiB self,web shop.test spec a shop sells
`},
		"somewhere": {[]nstest.Listing{plain, at, subtest}, `
ID AGE PROCS MEMORY HOSTS PROGRAM AT NAME
7.1 0s 2 3.0 MiB self nstest run sh
8.2 1h0m 4 5.0 MiB self,web shop.test waiting until all of the goods that wer… shop_test.go:41 (5m) spec a shop sells
8.2 1h0m 4 5.0 MiB self,web shop.test TestShop/�[31m (2m) spec a shop sells
`},
	} {
		var b strings.Builder
		if err := printListings(&b, c.list); err != nil {
			t.Fatal(err)
		}
		got := regexp.MustCompile(` {2,}`).ReplaceAllString(b.String(), " ")
		got = regexp.MustCompile(`(?m)^7.1 \d+s`).ReplaceAllString(got, "7.1 0s")
		if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}
