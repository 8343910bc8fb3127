// Command lookup resolves the host names that it reads, one a line, with Go's own resolver, and answers each with a line
// of addresses, or of what went wrong.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	resolver := &net.Resolver{PreferGo: true}
	names := bufio.NewScanner(os.Stdin)
	for names.Scan() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		addresses, err := resolver.LookupHost(ctx, names.Text())
		cancel()
		if err != nil {
			fmt.Println("error:", err)
			continue
		}
		fmt.Println(strings.Join(addresses, " "))
	}
}
