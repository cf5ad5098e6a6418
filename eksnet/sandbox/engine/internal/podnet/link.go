package podnet

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// gateway is every pod's next hop. Nothing holds the address: a neighbour entry leads to the node.
var gateway = net.IPv4(169, 254, 1, 1)

const podSide = "eth0"

// LinkName returns the name of the node's side of a pod's veth pair: the VPC CNI's own rule, so
// that what `ip link` shows on a node looks as it does on EKS.
func LinkName(namespace, pod string) string {
	sum := sha1.Sum([]byte(namespace + "." + pod))
	return "eni" + hex.EncodeToString(sum[:])[:11]
}

// Attach connects the network namespace at a path to the node.
func Attach(namespace, link string, address netip.Addr) error {
	pod, err := netns.GetFromPath(namespace)
	if err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	defer pod.Close()
	node, err := connect(link, pod)
	if err != nil {
		return err
	}
	if err := routeToPod(node, address); err != nil {
		return err
	}
	return configurePod(pod, node.Attrs().HardwareAddr, address)
}

func connect(link string, pod netns.NsHandle) (netlink.Link, error) {
	// A pod of the same name may have left its pair behind a moment ago.
	if old, err := netlink.LinkByName(link); err == nil {
		if err := netlink.LinkDel(old); err != nil {
			return nil, fmt.Errorf("remove old %s: %w", link, err)
		}
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = link
	pair := &netlink.Veth{LinkAttrs: attributes, PeerName: podSide, PeerNamespace: netlink.NsFd(pod)}
	if err := netlink.LinkAdd(pair); err != nil {
		return nil, fmt.Errorf("add veth pair %s: %w", link, err)
	}
	node, err := netlink.LinkByName(link)
	if err != nil {
		return nil, err
	}
	return node, netlink.LinkSetUp(node)
}

func routeToPod(node netlink.Link, address netip.Addr) error {
	// Replaced, not added: the route of a pod that had the address before may still be there.
	err := netlink.RouteReplace(&netlink.Route{
		LinkIndex: node.Attrs().Index,
		Dst:       host(address),
		Scope:     netlink.SCOPE_LINK,
	})
	if err != nil {
		return fmt.Errorf("route to %s: %w", address, err)
	}
	return nil
}

func configurePod(pod netns.NsHandle, nodeMAC net.HardwareAddr, address netip.Addr) error {
	inside, err := netlink.NewHandleAt(pod)
	if err != nil {
		return err
	}
	defer inside.Close()
	if err := up(inside, "lo"); err != nil {
		return err
	}
	eth0, err := inside.LinkByName(podSide)
	if err != nil {
		return err
	}
	if err := inside.AddrAdd(eth0, &netlink.Addr{IPNet: host(address)}); err != nil {
		return fmt.Errorf("address %s: %w", address, err)
	}
	if err := up(inside, podSide); err != nil {
		return err
	}
	return routeOut(inside, eth0.Attrs().Index, nodeMAC)
}

func routeOut(inside *netlink.Handle, eth0 int, nodeMAC net.HardwareAddr) error {
	routes := []*netlink.Route{
		{LinkIndex: eth0, Dst: &net.IPNet{IP: gateway, Mask: net.CIDRMask(32, 32)}, Scope: netlink.SCOPE_LINK},
		{LinkIndex: eth0, Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}, Gw: gateway},
	}
	for _, route := range routes {
		if err := inside.RouteReplace(route); err != nil {
			return fmt.Errorf("route %s: %w", route.Dst, err)
		}
	}
	return inside.NeighSet(&netlink.Neigh{
		LinkIndex: eth0, State: netlink.NUD_PERMANENT, IP: gateway, HardwareAddr: nodeMAC,
	})
}

func up(handle *netlink.Handle, name string) error {
	link, err := handle.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	return handle.LinkSetUp(link)
}

// Detach takes the pair away at once; with the namespace alone it would linger for a moment.
func Detach(namespace string) error {
	pod, err := netns.GetFromPath(namespace)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer pod.Close()
	inside, err := netlink.NewHandleAt(pod)
	if err != nil {
		return err
	}
	defer inside.Close()
	eth0, err := inside.LinkByName(podSide)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	return inside.LinkDel(eth0)
}

func host(address netip.Addr) *net.IPNet {
	return &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(32, 32)}
}
