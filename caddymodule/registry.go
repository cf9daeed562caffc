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
	fingerprint string // of the configuration
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
			if p, ok := commonPath(s.resource, other.resource); ok {
				return fmt.Errorf("the path %s is protected twice under %s; "+
					"give each MCP server a path of its own, as in mcp_gateway /weather/mcp", p, o.url)
			}
		}
	}
	a.sites = append(a.sites, s)
	return nil
}

func (s *site) sameResource(o *site) bool {
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
