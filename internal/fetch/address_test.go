// SPDX-License-Identifier: Apache-2.0

package fetch

import (
	"net"
	"testing"
)

// SSRF by address: every special-use address of RFC 6890 and its successors, in
// every form in which one can be written into an IP address.
var specialAddresses = map[string][]string{
	"this network":      {"0.0.0.0", "0.1.2.3"},
	"private":           {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1"},
	"carrier-grade NAT": {"100.64.0.1", "100.127.255.255"},
	"loopback":          {"127.0.0.1", "127.255.255.254", "::1"},
	"link local":        {"169.254.0.1", "169.254.169.254", "fe80::1", "fe80::1%eth0", "febf::1"},
	"IETF protocols":    {"192.0.0.1", "192.0.0.170", "192.0.0.192"},
	"documentation":     {"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"},
	"benchmarking":      {"198.18.0.1", "198.19.255.255", "2001:2::1"},
	"6to4 relays":       {"192.88.99.1"},
	"multicast":         {"224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"},
	"reserved":          {"240.0.0.1", "255.255.255.255"},
	"unspecified":       {"::"},
	"unique local":      {"fc00::1", "fd00:ec2::254", "fdff::1"},
	"site local":        {"fec0::1"},
	"discard":           {"100::1"},
	"segment routing":   {"5f00::1"},
	"IPv4-mapped":       {"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8"},
	"IPv4-compatible":   {"::127.0.0.1", "::8.8.8.8"},
	"NAT64":             {"64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::10.0.0.1"},
	"6to4":              {"2002:7f00:1::1", "2002:a00:1::1", "2002:808:808::1"},
	"Teredo":            {"2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001::1"},
	"ORCHID":            {"2001:10::1", "2001:20::1", "2001:30::1"},
	"AS112":             {"192.31.196.1", "192.175.48.1", "2620:4f:8000::1"},
	"AMT":               {"192.52.193.1"},
}

func TestSpecialAddressesAreRefused(t *testing.T) {
	t.Parallel()
	check := guard(false)
	for kind, addrs := range specialAddresses {
		for _, a := range addrs {
			for _, network := range []string{"tcp4", "tcp6"} {
				if check(network, net.JoinHostPort(a, "443"), nil) == nil {
					t.Errorf("%s: %s is connected to", kind, a)
				}
			}
		}
	}
	for _, bad := range []string{"", "443", "client.example:443", "8.8.8.8", "[::1", "8.8.8.8:http"} {
		if check("tcp4", bad, nil) == nil {
			t.Errorf("%q is connected to", bad)
		}
	}
	for _, network := range []string{"udp4", "unix", "tcp", "ip4:icmp"} {
		if check(network, "8.8.8.8:443", nil) == nil {
			t.Errorf("%s is used", network)
		}
	}
}

func TestPublicAddressesAreNotRefused(t *testing.T) {
	t.Parallel()
	check := guard(false)
	for _, a := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
		"169.253.255.255", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
	} {
		if err := check("tcp4", a+":443", nil); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	for _, a := range []string{"2606:4700::1111", "2001:4860:4860::8888", "2a00:1450::1", "2600::1"} {
		if err := check("tcp6", "["+a+"]:8443", nil); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

// The option for tests opens loopback and nothing besides.
func TestInsecureAllowLoopback(t *testing.T) {
	t.Parallel()
	check := guard(true)
	for _, a := range []string{"127.0.0.1:443", "127.8.8.8:1", "[::1]:443"} {
		if err := check("tcp4", a, nil); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	for kind, addrs := range specialAddresses {
		if kind == "loopback" {
			continue
		}
		for _, a := range addrs {
			if check("tcp4", net.JoinHostPort(a, "443"), nil) == nil {
				t.Errorf("%s: %s is connected to", kind, a)
			}
		}
	}
}
