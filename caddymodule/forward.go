// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

// checkForwarding refuses to send users' upstream tokens where others could read
// them: the backend is reached over TLS, or does not leave this machine.
func checkForwarding(proxy *reverseproxy.Handler, backends []string, dynamic bool) error {
	var transport struct {
		TLS json.RawMessage `json:"tls"`
	}
	if len(proxy.TransportRaw) > 0 {
		if err := json.Unmarshal(proxy.TransportRaw, &transport); err != nil {
			return fmt.Errorf("forward_upstream_token: transport: %w", err)
		}
	}
	if len(transport.TLS) > 0 && string(transport.TLS) != "null" {
		return nil
	}
	if dynamic {
		return errors.New("forward_upstream_token: dynamic backends need TLS; add transport http { tls }")
	}
	for _, addr := range backends {
		if !socketAddr(addr) && !loopbackAddr(addr) {
			return fmt.Errorf("forward_upstream_token: tokens of users would travel to %s in the clear; "+
				"write https://%s, or use a backend on this machine", addr, addr)
		}
	}
	return nil
}

// socketAddr reports the address of a socket in the file system. A host may have a
// name that begins alike.
func socketAddr(addr string) bool {
	network, _, ok := strings.Cut(addr, "/")
	return ok && (network == "unix" || network == "unix+h2c")
}

// canForward reports whether some upstream has tokens at all.
func (a *App) canForward() error {
	for _, p := range a.upstream {
		if p.Ref().Kind != identity.KindLocal {
			return nil
		}
	}
	return errors.New("forward_upstream_token: users of the local list have no token to forward; it needs a github or oidc upstream")
}
