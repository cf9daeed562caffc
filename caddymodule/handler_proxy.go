// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
)

// loadProxy loads the handler's own proxy, if it has one, and decides who sets the
// identity headers.
//
// Headers that are set before reverse_proxy are copied by it and encoded for a log
// that mostly is not written, for each request. So its transport sets them, if it is
// ours, unless the proxy's options speak of them: these mean what they say.
func (h *Handler) loadProxy(ctx caddy.Context) error {
	if len(h.ProxyRaw) == 0 {
		return nil
	}
	options := h.ProxyRaw
	mod, err := ctx.LoadModule(h, "ProxyRaw") // which sets ProxyRaw to nil
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	h.proxy = mod.(caddyhttp.MiddlewareHandler)
	proxy, ok := mod.(*reverseproxy.Handler)
	if !ok {
		return nil
	}
	if transport, ours := proxy.Transport.(*Transport); ours {
		ops := requestOps(proxy)
		if ops != nil && touchesHost(ops) {
			transport.UpstreamHost = false
		}
		transport.quiet = !readsSentHeaders(ctx, proxy)
		h.deferIdentity = (ops == nil || !namesUnclear(ops)) && !mentionsIdentity(options)
	}
	return nil
}

// readsSentHeaders reports whether a proxy has a use for headers of requests that were
// sent: to choose whether to try again, or for the debug log.
func readsSentHeaders(ctx caddy.Context, proxy *reverseproxy.Handler) bool {
	return proxy.LoadBalancing != nil && len(proxy.LoadBalancing.RetryMatch) > 0 ||
		ctx.Logger(proxy).Core().Enabled(zapcore.DebugLevel)
}

// mentionsIdentity reports whether the options of a proxy name an identity header, in
// an operation, a placeholder or a policy. Caddy has written the JSON anew: there are
// no other spellings but of case.
func mentionsIdentity(options json.RawMessage) bool {
	text := strings.ToLower(string(options))
	return slices.ContainsFunc(gateway.IdentityHeaders(), func(name string) bool {
		return strings.Contains(text, strings.ToLower(name))
	})
}

// namesUnclear reports whether an operation is for headers that it does not name: it
// has a pattern, or a placeholder in place of the name.
func namesUnclear(ops *headers.HeaderOps) bool {
	names := slices.Concat(ops.Delete, slices.Collect(maps.Keys(ops.Set)),
		slices.Collect(maps.Keys(ops.Add)), slices.Collect(maps.Keys(ops.Replace)))
	return slices.ContainsFunc(names, func(name string) bool { return strings.ContainsAny(name, "*{") })
}
