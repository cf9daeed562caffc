// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"slices"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// choicesAt is what the consent page of a resource offers to sign in with: every
// upstream through which somebody can be allowed there. To send a person through
// another one would be to have them sign in for a refusal.
func (s *Server) choicesAt(g *Guard) []web.Upstream {
	return slices.DeleteFunc(s.upstreamChoices(), func(u web.Upstream) bool {
		return !s.leadsTo(g, s.upstreams[u.Name])
	})
}

// leadsTo reports whether a sign-in at an upstream can end well at a resource. Where
// none can, because rules and upstreams are of two configurations, all may be tried:
// the rules then refuse the person and say so.
func (s *Server) leadsTo(g *Guard, up upstream.Upstream) bool {
	leads := func(up upstream.Upstream) bool {
		if _, hasTokens := up.(upstream.Redirector); !hasTokens && g.cfg.ForwardUpstreamToken {
			return false
		}
		return g.cfg.Policy.Reachable(up.Name())
	}
	return leads(up) || !slices.ContainsFunc(s.cfg.Upstreams, leads)
}

// problemUpstream is for a choice that the page did not offer: the configuration
// changed while it was open, or somebody wrote the form themselves.
func problemUpstream(label string) problem {
	return problem{
		status: http.StatusForbidden, reason: "upstream_not_allowed",
		title: "This way to sign in does not lead here",
		text:  "Nobody who signs in with " + label + " can use this MCP server.",
		hint:  "Connect again from your MCP client and choose another way to sign in.",
	}
}
