// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"slices"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/fetch"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/keyset"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// verifyAssertion authenticates a client by the JWT it signed (RFC 7523 §3). The
// order is that of the cost: claims, keys, signature, and last the store, which
// remembers what was used.
func (s *Server) verifyAssertion(ctx context.Context, c *client, assertion string) *oauth.Error {
	unverified, _ := oauth.AssertionPayload(assertion)
	if _, perr := s.checkAssertion(c, unverified); perr != nil {
		return perr
	}
	payload, perr := s.verifySignature(ctx, c, assertion)
	if perr != nil {
		return perr
	}
	claims, perr := s.checkAssertion(c, payload)
	if perr != nil {
		return perr
	}
	id := token.Hash(c.ID + "\x00" + claims.ID)
	// Until the clock of every gateway is past it, not only ours.
	err := s.st.store.RememberOnce(ctx, s.cfg.Issuer, id, claims.UsedUntil().Sub(s.st.now())+clockSkew)
	switch {
	case errors.Is(err, storage.ErrExists):
		s.st.count(EventAssertionReplayed)
		s.log.Warn("client assertion replayed", "client_id", c.ID)
		return oauth.NewError(oauth.CodeInvalidClient, "client_assertion: its jti was used before")
	case err != nil:
		return s.storeError("remember assertion", err)
	}
	return nil
}

func (s *Server) checkAssertion(c *client, payload []byte) (*oauth.AssertionClaims, *oauth.Error) {
	claims, perr := oauth.ParseAssertionClaims(payload)
	if perr != nil {
		return nil, perr
	}
	return claims, claims.Check(c.ID, s.assertionAudiences(), s.st.now())
}

// assertionAudiences are the names under which an assertion may be meant for us.
// The issuer is what the current drafts and the MCP SDKs say, with the slash that
// some URL types add; ChatGPT and everything that follows OpenID Connect Core §9
// name the token endpoint.
func (s *Server) assertionAudiences() []string {
	return []string{s.cfg.Issuer, s.cfg.Issuer + "/", s.cfg.Issuer + oauth.PathToken}
}

// verifySignature finds the key. One that is not in our copy of a jwks_uri may be
// new there, so it is fetched again, at most once a minute.
func (s *Server) verifySignature(ctx context.Context, c *client, assertion string) ([]byte, *oauth.Error) {
	algorithms := oauth.AssertionAlgorithms
	if c.alg != "" {
		algorithms = slices.DeleteFunc(slices.Clone(algorithms), func(a string) bool { return a != c.alg })
	}
	if c.source == sourceConfigured {
		ctx = fetch.Trusted(ctx)
	}
	keys, err := c.keys, error(nil)
	if keys == nil {
		if keys, err = s.st.remote.keys.Get(ctx, c.jwksURI); err != nil {
			return nil, s.clientRefused(c.ID, remoteError(err))
		}
	}
	payload, err := keys.Verify(assertion, algorithms)
	if errors.Is(err, keyset.ErrUnknownKey) && c.keys == nil {
		if keys, err = s.st.remote.keys.Recheck(ctx, c.jwksURI); err != nil {
			return nil, s.clientRefused(c.ID, remoteError(err))
		}
		payload, err = keys.Verify(assertion, algorithms)
	}
	if err != nil {
		return nil, oauth.NewError(oauth.CodeInvalidClient, "client_assertion: %v", err)
	}
	return payload, nil
}
