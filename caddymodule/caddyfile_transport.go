// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
)

// setTransport has the proxy send requests through Transport, which costs less than
// setting headers before a proxy that copies and encodes each of them several times.
// Where the operator's options of the proxy speak of identity headers, they are set
// before it, so that these options mean what they say.
func (p *gatewayParser) setTransport(proxy *reverseproxy.Handler) error {
	local := !p.dynamic && wantsLocalHost(proxy, p.backends.addrs)
	options := map[string]json.RawMessage{}
	if len(proxy.TransportRaw) > 0 {
		if err := json.Unmarshal(proxy.TransportRaw, &options); err != nil {
			return err
		}
		if string(options["protocol"]) != `"http"` { // fastcgi, or somebody else's
			if local {
				nameLocalHost(proxy)
			}
			return nil
		}
	}
	mentioned, err := mentionsIdentity(proxy)
	if err != nil {
		return err
	}
	p.handler.DeferIdentity = !mentioned && (p.handler.IdentityHeaders == nil || *p.handler.IdentityHeaders)
	if !p.handler.DeferIdentity && !local {
		return nil
	}
	options["protocol"] = json.RawMessage(`"` + appName + `"`)
	if local {
		options["upstream_host"] = json.RawMessage("true")
	}
	proxy.TransportRaw, err = json.Marshal(options)
	return err
}

// mentionsIdentity reports whether the options of a proxy name an identity header, in
// an operation, a placeholder or a policy, or have a pattern that may match one.
func mentionsIdentity(proxy *reverseproxy.Handler) (bool, error) {
	if ops := requestOps(proxy); ops != nil {
		names := ops.Delete
		for name := range ops.Replace {
			names = append(names[:len(names):len(names)], name)
		}
		for _, name := range names {
			if strings.Contains(name, "*") {
				return true, nil
			}
		}
	}
	raw, err := json.Marshal(proxy)
	if err != nil {
		return false, err
	}
	options := strings.ToLower(string(raw))
	for _, name := range gateway.IdentityHeaders() {
		if strings.Contains(options, strings.ToLower(name)) {
			return true, nil
		}
	}
	return false, nil
}
