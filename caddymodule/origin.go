// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// origin is the identifier of an issuer: a bare origin (RFC 8414 §2 with an
// empty path).
type origin struct {
	// url is "https://mcp.example.com", lower case, the default port left out.
	url string
	// host is the name or address alone, without port and brackets, as it is
	// compared with the Host of a request.
	host string
}

// newOrigin composes an origin. It refuses plain http anywhere but on loopback:
// tokens and codes would travel in the clear.
func newOrigin(scheme, host string, port uint) (origin, error) {
	host = strings.ToLower(host)
	if scheme == "http" && !isLoopbackHost(host) {
		return origin{}, fmt.Errorf("http://%s is neither https nor a loopback host", host)
	}
	authority := host
	if strings.Contains(host, ":") {
		authority = "[" + host + "]"
	}
	if port != 0 && port != defaultPort(scheme) {
		authority = net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10))
	}
	return origin{url: scheme + "://" + authority, host: host}, nil
}

func defaultPort(scheme string) uint {
	if scheme == "http" {
		return 80
	}
	return 443
}

// parseOrigin reads what an operator wrote for an origin.
func parseOrigin(s string) (origin, error) {
	u, err := url.Parse(strings.TrimSuffix(s, "/"))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return origin{}, fmt.Errorf("%q is not an origin; write https://mcp.example.com", s)
	}
	if u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.HasSuffix(s, "?") || strings.Contains(s, "#") {
		return origin{}, fmt.Errorf("%q has more than an origin; write %s://%s", s, u.Scheme, u.Host)
	}
	if !isHostname(u.Hostname()) {
		return origin{}, fmt.Errorf("%q has no exact host name; write https://mcp.example.com", s)
	}
	var port uint64
	if p := u.Port(); p != "" {
		if port, err = strconv.ParseUint(p, 10, 16); err != nil || port == 0 {
			return origin{}, fmt.Errorf("%q has no valid port", s)
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return origin{}, fmt.Errorf("%q has no valid port", s)
	}
	return newOrigin(u.Scheme, u.Hostname(), uint(port))
}

// isHostname accepts ASCII names and addresses; names in other scripts are
// written in their xn-- form, the way browsers send them.
func isHostname(h string) bool {
	if addr, err := netip.ParseAddr(h); err == nil {
		return addr.Zone() == ""
	}
	if h == "" || len(h) > 253 || strings.Contains(h, "..") || h[0] == '.' || h[len(h)-1] == '.' {
		return false
	}
	return strings.IndexFunc(h, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_'
	}) < 0
}

func isLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// hostOf is the Host of a request as origins are compared with it.
func hostOf(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	return strings.ToLower(host)
}
