// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"slices"
	"strings"
)

// dialNetworks may stand before the first slash of an address without being
// part of a host name.
var dialNetworks = []string{
	"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "ip", "ip4", "ip6",
	"unix", "unixgram", "unixpacket", "unix+h2c", "fd", "fdgram",
}

// splitBackend cuts the path off a backend address, because reverse_proxy takes
// addresses only. "localhost:3001/mcp" is "localhost:3001" and "/mcp". Socket
// addresses and addresses with placeholders are left as they are.
func splitBackend(s string) (addr, path string, err error) {
	if strings.Contains(s, "{") {
		return s, "", nil
	}
	scheme, rest, hasScheme := strings.Cut(s, "://")
	prefix := scheme + "://"
	if !hasScheme {
		prefix, rest = "", s
		if network, after, ok := strings.Cut(s, "/"); ok && slices.Contains(dialNetworks, network) {
			if strings.HasPrefix(network, "unix") || strings.HasPrefix(network, "fd") {
				return s, "", nil
			}
			prefix, rest = network+"/", after
		}
	}
	if strings.ContainsAny(rest, "?#") {
		return "", "", fmt.Errorf("backend %q: a query or fragment is not possible", s)
	}
	host, path, ok := strings.Cut(rest, "/")
	if !ok {
		return s, "", nil
	}
	if host == "" {
		return "", "", fmt.Errorf("backend %q has no host; the path of the resource comes before the backends", s)
	}
	path = "/" + path
	if strings.Contains(path, "//") || hasDotSegment(path) || strings.ContainsAny(path, "%\\;* ") || !isPlainText(path) {
		return "", "", fmt.Errorf("backend %q: write the path plainly, as in localhost:3001/mcp", s)
	}
	return prefix + host, orSlash(strings.TrimSuffix(path, "/")), nil
}

// backendSet collects the backends of one resource and the one path they share.
type backendSet struct {
	addrs []string
	path  string
}

// add takes the next backend and returns its address for reverse_proxy.
func (b *backendSet) add(s string) (addr string, err error) {
	addr, path, err := splitBackend(s)
	if err != nil {
		return "", err
	}
	if len(b.addrs) > 0 && path != b.path {
		return "", fmt.Errorf("backend %q has the path %q and an earlier one %q: all backends of a resource carry the same path", s, path, b.path)
	}
	b.path = path
	b.addrs = append(b.addrs, dialAddr(addr))
	return addr, nil
}

// dialAddr is the address without its scheme, the way Location headers of the
// backend name it.
func dialAddr(addr string) string {
	scheme, rest, ok := strings.Cut(addr, "://")
	if !ok {
		return addr
	}
	if strings.LastIndexByte(rest, ':') > strings.LastIndexByte(rest, ']') {
		return rest
	}
	if scheme == "https" {
		return rest + ":443"
	}
	return rest + ":80"
}
