// SPDX-License-Identifier: Apache-2.0

package caddymodule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
)

// site is one provisioned handler: a resource and the issuers it belongs to.
type site struct {
	handler     *Handler
	where       placement
	origins     []origin
	resource    *gateway.Resource
	fingerprint string // of the configuration, less the proxy's
}

// register adds a handler to the table of its configuration. A path can be
// protected once per issuer. The same handler on several servers, as for a site
// with two ports and an explicit issuer, is one resource.
func (a *App) register(s *site) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, other := range a.sites {
		if other.sameResource(s) {
			continue
		}
		for _, o := range s.origins {
			if !slices.Contains(other.origins, o) {
				continue
			}
			p, ok := commonPath(s.resource, other.resource)
			switch {
			case !ok:
			case s.sameButForProxy(other):
				return fmt.Errorf("the path %s is protected by two servers under %s, and only the proxy of one names an identity header; "+
					"give both the same options", p, o.url)
			default:
				return fmt.Errorf("the path %s is protected twice under %s; "+
					"give each MCP server a path of its own, as in mcp_gateway /weather/mcp", p, o.url)
			}
		}
	}
	a.sites = append(a.sites, s)
	return nil
}

// sameResource reports the resource of another server that one guard can serve with
// ours. Guards set the identity headers, or leave them to the proxy's transport.
func (s *site) sameResource(o *site) bool {
	return s.sameButForProxy(o) && s.resource.DeferIdentity == o.resource.DeferIdentity
}

func (s *site) sameButForProxy(o *site) bool {
	return s.where.server != o.where.server && s.fingerprint == o.fingerprint
}

func commonPath(a, b *gateway.Resource) (string, bool) {
	for _, p := range append([]string{a.Path}, a.Also...) {
		for _, q := range append([]string{b.Path}, b.Also...) {
			if strings.EqualFold(p, q) {
				return p, true
			}
		}
	}
	return "", false
}
