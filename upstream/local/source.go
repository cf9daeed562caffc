// SPDX-License-Identifier: Apache-2.0

package local

import "net/netip"

// sourceOf is what counts as one source: an IPv4 address, or the /64 of an IPv6
// address, because that much is one customer's to choose from. Zones and ports
// do not matter. Anything else counts as it is.
func sourceOf(from string) string {
	addr, err := netip.ParseAddr(from)
	if err != nil {
		withPort, err := netip.ParseAddrPort(from)
		if err != nil {
			return from
		}
		addr = withPort.Addr()
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return from
	}
	return network.String()
}
