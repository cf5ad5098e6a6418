// Command lookup looks a name up with Go's own resolver and prints the addresses.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
)

func main() {
	resolver := net.Resolver{PreferGo: true}
	addresses, err := resolver.LookupHost(context.Background(), os.Args[1])
	if err != nil {
		os.Exit(1)
	}
	for _, address := range addresses {
		fmt.Println(address)
	}
}
