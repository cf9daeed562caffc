// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// serveIntrospect is the introspection endpoint (RFC 7662 §2): a client that
// proves who it is asks what one of its own tokens is worth at this moment. The
// answer is what the guard would say now: a token whose owner is no longer allowed,
// or whose resource is gone, is not active. Any other token, another client's
// among them, is {"active":false} and nothing else.
//
// Backends have no credentials for it: they are told who calls in headers.
func (s *Server) serveIntrospect(w http.ResponseWriter, r *http.Request) {
	p, perr := readForm(w, r)
	if perr != nil {
		writeOAuthError(w, perr)
		return
	}
	c, perr := s.authenticateClient(w, r, p)
	if perr == nil && c.AuthMethod == oauth.AuthNone {
		perr = oauth.NewError(oauth.CodeInvalidClient, "introspection is for clients that authenticate")
	}
	if perr != nil {
		s.refuseToken(w, r, "", perr)
		return
	}
	raw, perr := oauth.ParseTokenParam(p)
	if perr != nil {
		s.refuseToken(w, r, c.ID, perr)
		return
	}
	answer, perr := s.introspect(r.Context(), c, raw)
	if perr != nil {
		s.refuseToken(w, r, c.ID, perr)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) introspect(ctx context.Context, c *client, raw string) (oauth.Introspection, *oauth.Error) {
	ring := s.st.ring.Load()
	if a, err := ring.OpenAccess(raw); err == nil {
		if a.ClientID != c.ID {
			return oauth.Introspection{}, nil
		}
		return s.introspectAccess(ctx, raw, a)
	}
	if grantID, err := ring.ParseRefresh(raw); err == nil {
		return s.introspectRefresh(ctx, c, raw, grantID)
	}
	return oauth.Introspection{}, nil
}

// introspectAccess asks exactly what the guard asks.
func (s *Server) introspectAccess(ctx context.Context, raw string, a token.Access) (oauth.Introspection, *oauth.Error) {
	g := s.byResource[a.Resource]
	if g == nil {
		return oauth.Introspection{}, nil
	}
	tok, err := s.st.admit(ctx, raw, s.cfg.Issuer, g.resource, s.st.now())
	switch refused := (refusedToken{}); {
	case errors.As(err, &refused):
		return oauth.Introspection{}, nil
	case err != nil:
		return oauth.Introspection{}, s.storeError("grant", err)
	}
	answer := s.describe(tok.grant, g)
	if answer.Active {
		answer.TokenType, answer.Scope = "Bearer", tok.scope
		answer.ExpiresAt = tok.expiresAt.Unix()
	}
	return answer, nil
}

// introspectRefresh looks without rotating. Only the newest refresh token of a
// grant is active; those before it are answered for a while at /token, but to have
// been exchanged is to be used up.
func (s *Server) introspectRefresh(ctx context.Context, c *client, raw, grantID string) (oauth.Introspection, *oauth.Error) {
	g, err := s.st.store.Grant(ctx, s.cfg.Issuer, grantID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return oauth.Introspection{}, nil
	case err != nil:
		return oauth.Introspection{}, s.storeError("grant", err)
	}
	guard := s.byResource[g.Resource]
	if guard == nil || g.ClientID != c.ID || !equalHash(token.Hash(raw), g.Refresh.Current) {
		return oauth.Introspection{}, nil
	}
	if err := s.st.follower.check(s.st.now()); err != nil { // what is in memory is too old to say
		return oauth.Introspection{}, s.storeError("feed", err)
	}
	live, err := s.st.live.grant(ctx, s.cfg.Issuer, grantID)
	switch {
	case errors.Is(err, errGrantGone):
		return oauth.Introspection{}, nil
	case err != nil:
		return oauth.Introspection{}, s.storeError("grant", err)
	}
	answer := s.describe(live, guard)
	if answer.Active {
		answer.Scope = oauth.FormatScope(g.Scopes)
		answer.ExpiresAt = g.ExpiresAt.Unix()
	}
	return answer, nil
}

// describe says what both kinds of token have in common, or that the person is not
// allowed by the configuration of now.
func (s *Server) describe(grant *liveGrant, g *Guard) oauth.Introspection {
	facts := *grant.account.facts.Load()
	if !g.cfg.Policy.Allows(facts) {
		return oauth.Introspection{}
	}
	return oauth.Introspection{
		Active: true, Issuer: s.cfg.Issuer, Audience: g.resource, ClientID: grant.clientID,
		Subject: grant.subject, Username: facts.Login,
	}
}
