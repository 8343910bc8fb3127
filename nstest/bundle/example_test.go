package bundle_test

import (
	"fmt"
	"log"

	"github.com/hermetic-go/nstest/nstest/bundle"
)

// Which processes have died before the test failed.
func ExampleOpen() {
	b, err := bundle.Open("testdata/shop") // a directory that NSTEST_KEEP has made
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	m := b.Manifest()
	fmt.Printf("%s: %s\n", m.Test, m.Failures[0].Message)
	for e, err := range b.Events() {
		if err != nil {
			log.Fatal(err)
		}
		if e.Kind == bundle.KindExit && e.Time.Before(m.Failures[0].Time) {
			fmt.Printf("%s after %s: %s\n", e.Host, e.Time.Sub(m.Began), e.State)
		}
	}
	// Output:
	// Shop fails over: Expected 503 to equal 200
	// db after 750ms: signal: killed
}
