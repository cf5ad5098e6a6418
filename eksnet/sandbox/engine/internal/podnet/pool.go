// Package podnet wires pods to the node as the AWS VPC CNI does: a veth pair, the pod's address
// as a /32, and a gateway that is a link-local address with a neighbour entry of its own.
package podnet

import (
	"fmt"
	"net/netip"
)

// first is the lowest host number that is given out: those before it are the subnet's own.
const first = 10

// Pool is a node's pod addresses.
type Pool struct {
	prefix netip.Prefix
	taken  map[netip.Addr]bool
}

// NewPool returns the pool of a node whose pods live in a prefix such as 10.0.129.0/24.
func NewPool(prefix netip.Prefix) (*Pool, error) {
	if !prefix.Addr().Is4() || prefix.Bits() > 28 {
		return nil, fmt.Errorf("pods need an IPv4 prefix of /28 or larger, not %s", prefix)
	}
	return &Pool{prefix: prefix.Masked(), taken: map[netip.Addr]bool{}}, nil
}

// Take gives out the lowest free address, so that the same pods get the same addresses again.
func (p *Pool) Take() (netip.Addr, error) {
	address := p.prefix.Addr()
	for range first {
		address = address.Next()
	}
	// The last address of the prefix is its broadcast address.
	for ; p.prefix.Contains(address.Next()); address = address.Next() {
		if !p.taken[address] {
			p.taken[address] = true
			return address, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("all %d pod addresses of %s are in use", len(p.taken), p.prefix)
}

// Keep marks an address as taken by a pod that was there before.
func (p *Pool) Keep(address netip.Addr) { p.taken[address] = true }

// Release makes an address free again.
func (p *Pool) Release(address netip.Addr) { delete(p.taken, address) }
