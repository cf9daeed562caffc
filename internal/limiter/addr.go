// SPDX-License-Identifier: Apache-2.0

package limiter

import (
	"net/netip"
	"strings"
)

// unknownAddr is the key all addresses we cannot read share: whoever hides his
// address must not gain by it.
const unknownAddr = "unknown"

// AddrKey returns the key under which events from a network address are counted.
// addr is "host" or "host:port", as in [net/http.Request.RemoteAddr]. An IPv6
// address counts with its whole /64, which is what one customer gets; an IPv4
// address counts alone, also when mapped into IPv6.
func AddrKey(addr string) string {
	ip, ok := parseAddr(addr)
	if !ok {
		return unknownAddr
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}

func parseAddr(addr string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		return ap.Addr(), true
	}
	if inner, ok := strings.CutPrefix(addr, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			addr = inner
		}
	}
	ip, err := netip.ParseAddr(addr)
	return ip, err == nil
}
