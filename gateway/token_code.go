// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// exchangeCode redeems an authorization code (RFC 6749 §4.1.3). Everything is
// checked before the code is used up, so that a request that could not succeed,
// without the PKCE verifier for example, neither burns the user's code nor
// revokes anything (R7.4).
func (s *Server) exchangeCode(ctx context.Context, c *client, req *oauth.TokenRequest) (*tokenResponse, *oauth.Error) {
	ring := s.st.ring.Load()
	grantID, err := ring.ParseCode(req.Code)
	if err != nil {
		return nil, invalidGrant("it is not a code of this server")
	}
	g, perr := s.grantFor(ctx, grantID, c, req)
	if perr != nil {
		return nil, perr
	}
	if perr := checkCode(g, req); perr != nil {
		return nil, perr
	}
	if perr := s.stillAllowed(ctx, g); perr != nil {
		return nil, perr
	}
	refresh := ring.NewRefresh(g.ID)
	g, err = s.st.store.RedeemCode(ctx, s.cfg.Issuer, g.ID, storage.Redemption{
		Code: token.Hash(req.Code), Refresh: token.Hash(refresh), TTL: s.cfg.RefreshTokenTTL,
	})
	switch {
	case errors.Is(err, storage.ErrReplay):
		return nil, s.codeReplayed(ctx, grantID, c)
	case errors.Is(err, storage.ErrNotFound):
		return nil, invalidGrant("it expired")
	case err != nil:
		return nil, s.storeError("redeem code", err)
	}
	s.st.count(EventGrantIssued)
	s.log.Info("grant issued", "subject", g.Subject, "client_id", g.ClientID, "resource", g.Resource)
	return s.respond(g, g.Scopes, refresh)
}

// checkCode compares what the code was bound to.
func checkCode(g *storage.Grant, req *oauth.TokenRequest) *oauth.Error {
	switch {
	case !equalHash(token.Hash(req.Code), g.Code.Hash):
		return invalidGrant("it is not the code of this grant")
	case !oauth.VerifyS256(g.Code.Challenge, req.CodeVerifier):
		return invalidGrant("code_verifier does not match")
	case req.RedirectURI != "" && req.RedirectURI != g.Code.RedirectURI:
		// Absent is fine: OAuth 2.1 §10.2 dropped it, PKCE does its work.
		return invalidGrant("redirect_uri is not the one that was authorized")
	}
	return nil
}

// codeReplayed: a code that was redeemed before, presented again with everything
// that belongs to it. One of the two was not the client, so both lose (RFC 6749
// §4.1.2, OAuth 2.1 §7.5.3).
func (s *Server) codeReplayed(ctx context.Context, grantID string, c *client) *oauth.Error {
	s.st.count(EventCodeReplayed)
	s.log.Warn("authorization code replayed, grant revoked", "client_id", c.ID)
	if err := s.st.revokeGrant(ctx, s.cfg.Issuer, grantID); err != nil {
		return s.storeError("revoke grant", err)
	}
	return invalidGrant("it was used before")
}
