// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"slices"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// knownScopes are all that a token of the resource may hold: those that clients
// are told of, and those of the hierarchy besides, for who asks for them by name.
func (r *Resource) knownScopes() []string {
	known := slices.Clone(r.Scopes)
	for _, s := range r.ScopeIncludes.Scopes() {
		if !slices.Contains(known, s) {
			known = append(known, s)
		}
	}
	return known
}

// suffices reports whether the token's scopes are enough for this resource. The
// answer is remembered with the token: it changes with the configuration only, and
// that brings a new guard.
func (g *Guard) suffices(t *liveToken) bool {
	if len(g.cfg.RequireScopes) == 0 || t.sufficesFor.Load() == g {
		return true
	}
	held, perr := oauth.ParseScope(t.scope)
	if perr != nil || g.cfg.ScopeIncludes.Missing(held, g.cfg.RequireScopes) != nil {
		return false
	}
	t.sufficesFor.Store(g)
	return true
}

// stepUp asks the client to sign in again for more (R9.3, RFC 6750 §3.1). Clients
// do that at every insufficient_scope, so it is for a token alone that another
// could replace: the person is allowed, and all that is required is granted to who
// asks (R9.5).
func (g *Guard) stepUp(w http.ResponseWriter, r *http.Request, t *liveToken, subject string) {
	held, _ := oauth.ParseScope(t.scope) // one that cannot be read is none
	c := g.challenges[g.challengePath(r.URL.Path)]
	c.Scope = oauth.FormatScope(oauth.StepUpScopes(held, g.cfg.knownScopes(), g.cfg.RequireScopes))
	c.Error, c.Description = oauth.CodeInsufficientScope, "the access token lacks a scope that this MCP server requires"
	w.Header().Set("WWW-Authenticate", c.String())
	g.refuseWith(w, r, &oauth.Error{Code: c.Error, Description: c.Description, Status: http.StatusForbidden}, c.Error,
		"subject", subject, "scope", t.scope)
}
