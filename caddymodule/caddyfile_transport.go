// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// setTransport has the proxy send requests through Transport, in place of the
// transport http of which it has all options. Others are left as they are.
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
	options["protocol"] = json.RawMessage(`"` + appName + `"`)
	if local {
		options["upstream_host"] = json.RawMessage("true")
	}
	var err error
	proxy.TransportRaw, err = json.Marshal(options)
	return err
}
