// SPDX-License-Identifier: Apache-2.0

package limiter

import (
	"net/netip"
	"testing"
)

func TestAddrKey(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"192.0.2.1":                        "192.0.2.1",
		"192.0.2.1:443":                    "192.0.2.1",
		"::ffff:192.0.2.1":                 "192.0.2.1",
		"[::ffff:192.0.2.1]:80":            "192.0.2.1",
		"[::ffff:c000:201]:80":             "192.0.2.1",
		"2001:db8:1:2:3:4:5:6":             "2001:db8:1:2::/64",
		"[2001:db8:1:2:3:4:5:6]:51000":     "2001:db8:1:2::/64",
		"[2001:DB8:1:2::1]":                "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":                "fe80::/64",
		"fe80::1%wlan0":                    "fe80::/64",
		"::1":                              "::/64",
		"[::1]:8080":                       "::/64",
		"127.0.0.1:0":                      "127.0.0.1",
		"":                                 unknownAddr,
		"@":                                unknownAddr, // a unix socket
		"localhost:80":                     unknownAddr,
		"192.0.2.1:99999":                  unknownAddr,
		"192.0.2.1:http":                   unknownAddr,
		"192.0.2.01":                       unknownAddr,
		"127.1":                            unknownAddr,
		"192.0.2.1, 198.51.100.7":          unknownAddr, // an X-Forwarded-For passed on whole
		"[192.0.2.1":                       unknownAddr,
		"2001:db8::1]:80":                  unknownAddr,
		" 192.0.2.1":                       unknownAddr,
		"[2001:db8:1:2:3:4:5:6]:51000\x00": unknownAddr,
	}
	for addr, want := range tests {
		if got := AddrKey(addr); got != want {
			t.Errorf("AddrKey(%q) = %q, want %q", addr, got, want)
		}
	}
}

// A home connection has a /64, that is 2⁶⁴ addresses to rotate through.
func TestAttackIPv6Rotation(t *testing.T) {
	t.Parallel()
	if a, b := AddrKey("[2001:db8::1]:1"), AddrKey("[2001:db8::ffff:ffff:ffff:ffff]:2"); a != b {
		t.Errorf("%s and %s count apart", a, b)
	}
	if a, b := AddrKey("2001:db8:0:1::1"), AddrKey("2001:db8:0:2::1"); a == b {
		t.Errorf("two customers count together as %s", a)
	}
}

func FuzzAddrKey(f *testing.F) {
	for _, s := range []string{"192.0.2.1:1", "[::1]:1", "fe80::1%x", "x", "::ffff:1.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, addr string) {
		key := AddrKey(addr)
		if key == unknownAddr {
			return
		}
		if ip, err := netip.ParseAddr(key); err == nil {
			if !ip.Is4() || AddrKey(key) != key {
				t.Fatalf("%q has key %q", addr, key)
			}
			return
		}
		prefix, err := netip.ParsePrefix(key)
		if err != nil || prefix.Bits() != 64 || prefix.Masked() != prefix || AddrKey(prefix.Addr().String()) != key {
			t.Fatalf("%q has key %q", addr, key)
		}
	})
}
