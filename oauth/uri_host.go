// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/netip"
	"strconv"
	"strings"
)

// validHost accepts DNS names in their ASCII form and IPv6 literals. A trailing
// dot is refused: it makes a second name for the same host.
func validHost(host string) bool {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && addr.Is6() && addr.Zone() == ""
	}
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if !alnum(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// oddIPv4 reports whether browsers would read host as an IPv4 address although
// it is not one in dotted decimal: "127.1", "0x7f.0.0.1", "2130706433".
func oddIPv4(host string) bool {
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	numeric := strings.Trim(last, "0123456789") == ""
	hex := strings.HasPrefix(last, "0x") && strings.Trim(last[2:], "0123456789abcdef") == ""
	if !numeric && !hex {
		return false
	}
	_, err := netip.ParseAddr(host)
	return err != nil
}

// validPort is a decimal port from 1 to 65535 without leading zeros.
func validPort(s string) bool {
	if s == "" || s[0] == '0' {
		return false
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// httpHost says in words what is wrong with the authority of an http or https
// URI; empty if nothing.
func (u *uri) httpHost() string {
	switch {
	case !u.authority || u.host == "":
		return "must have a host"
	case u.host[0] != '[' && oddIPv4(u.host):
		return "has a malformed host"
	}
	return ""
}
