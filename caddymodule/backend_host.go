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

// nameLocalHost makes the proxy address backends on this machine by their own
// address in the Host header, unless the operator set one.
//
// The MCP SDKs refuse requests that arrive on a loopback address under any other
// name, as a protection against DNS rebinding, and it is on by default. With
// reverse_proxy's own default, the public name, no such server would work
// unchanged. The public name is still in X-Forwarded-Host.
func nameLocalHost(proxy *reverseproxy.Handler, backends []string) {
	if len(backends) == 0 {
		return
	}
	for _, addr := range backends {
		if !loopbackAddr(addr) {
			return
		}
	}
	if proxy.Headers == nil {
		proxy.Headers = new(headers.Handler)
	}
	if proxy.Headers.Request == nil {
		proxy.Headers.Request = new(headers.HeaderOps)
	}
	req := proxy.Headers.Request
	if touchesHost(req) {
		return
	}
	if req.Set == nil {
		req.Set = http.Header{}
	}
	req.Set.Set("Host", "{http.reverse_proxy.upstream.hostport}")
}

func touchesHost(ops *headers.HeaderOps) bool {
	for _, h := range []http.Header{ops.Set, ops.Add} {
		if _, ok := h["Host"]; ok {
			return true
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
