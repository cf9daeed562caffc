// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// wantsLocalHost reports whether the proxy should address its backends by their own
// address in the Host header: all are on this machine, and the operator set no Host.
//
// The MCP SDKs refuse requests that arrive on a loopback address under any other
// name, as a protection against DNS rebinding, and it is on by default. With
// reverse_proxy's own default, the public name, no such server would work
// unchanged. The public name is still in X-Forwarded-Host.
func wantsLocalHost(proxy *reverseproxy.Handler, backends []string) bool {
	for _, addr := range backends {
		if !loopbackAddr(addr) {
			return false
		}
	}
	ops := requestOps(proxy)
	return len(backends) > 0 && (ops == nil || !touchesHost(ops))
}

// nameLocalHost has the proxy itself set the Host header.
func nameLocalHost(proxy *reverseproxy.Handler) {
	if proxy.Headers == nil {
		proxy.Headers = new(headers.Handler)
	}
	if proxy.Headers.Request == nil {
		proxy.Headers.Request = new(headers.HeaderOps)
	}
	req := proxy.Headers.Request
	if req.Set == nil {
		req.Set = http.Header{}
	}
	req.Set.Set("Host", "{http.reverse_proxy.upstream.hostport}")
}

// requestOps are the operator's operations on request headers, nil for none.
func requestOps(proxy *reverseproxy.Handler) *headers.HeaderOps {
	if proxy.Headers == nil {
		return nil
	}
	return proxy.Headers.Request
}

func touchesHost(ops *headers.HeaderOps) bool {
	for _, h := range []http.Header{ops.Set, ops.Add} {
		for name := range h { // which is as it was written, in JSON
			if strings.EqualFold(name, "Host") {
				return true
			}
		}
	}
	for name := range ops.Replace {
		if strings.EqualFold(name, "Host") {
			return true
		}
	}
	for _, name := range ops.Delete {
		if strings.EqualFold(name, "Host") {
			return true
		}
	}
	return false
}

func loopbackAddr(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = strings.Trim(addr, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
