// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

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
	mentioned, err := mentionsIdentity(h.ProxyRaw)
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	mod, err := ctx.LoadModule(h, "ProxyRaw") // which sets ProxyRaw to nil
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	h.proxy = mod.(caddyhttp.MiddlewareHandler)
	if proxy, ok := mod.(*reverseproxy.Handler); ok {
		_, ours := proxy.Transport.(*Transport)
		h.deferIdentity = ours && !mentioned
	}
	return nil
}

// mentionsIdentity reports whether the options of a proxy name an identity header, in
// an operation, a placeholder or a policy, or have a pattern that may match one.
func mentionsIdentity(proxy json.RawMessage) (bool, error) {
	var options struct {
		Headers headers.Handler `json:"headers"`
	}
	if err := json.Unmarshal(proxy, &options); err != nil {
		return false, err
	}
	if ops := options.Headers.Request; ops != nil && hasPattern(ops) {
		return true, nil
	}
	text := strings.ToLower(string(proxy))
	for _, name := range gateway.IdentityHeaders() {
		if strings.Contains(text, strings.ToLower(name)) {
			return true, nil
		}
	}
	return false, nil
}

// hasPattern reports whether an operation is for more headers than it names.
func hasPattern(ops *headers.HeaderOps) bool {
	for _, name := range ops.Delete {
		if strings.Contains(name, "*") {
			return true
		}
	}
	for name := range ops.Replace {
		if strings.Contains(name, "*") {
			return true
		}
	}
	return false
}
