// SPDX-License-Identifier: Apache-2.0

package fetch

import (
	"net/netip"
	"syscall"

	"code.dny.dev/ssrf"
)

// guard is the check of the address that is about to be connected to, at the
// last moment, after the name was resolved: a name that stands for a public
// address when it is looked at and for a private one when it is dialed (DNS
// rebinding) gains nothing, because nothing else is looked at.
//
// Package ssrf refuses what the IANA special-purpose registries list (RFC 6890)
// and multicast, and in IPv6 everything outside 2000::/3, which takes mapped,
// NAT64 and unique local addresses with it; 6to4 and Teredo it lists.
func guard(allowLoopback bool) func(network, address string, c syscall.RawConn) error {
	options := []ssrf.Option{ssrf.WithAnyPort()} // ports are checked in the URL
	if allowLoopback {
		options = append(options,
			ssrf.WithAllowedV4Prefixes(netip.MustParsePrefix("127.0.0.0/8")),
			ssrf.WithAllowedV6Prefixes(netip.MustParsePrefix("::1/128")))
	}
	return ssrf.New(options...).Safe
}
