// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// unusedGrace is how long a refresh token is still answered whose successor was
// never used: the client did not get the answer, or another process of it did and
// has not told (clients.md, "Refresh").
const unusedGrace = 15 * time.Minute

// exchangeRefresh rotates a refresh token (RFC 6749 §6, OAuth 2.1 §4.3.1). A
// client with several processes, or one that lost the answer, gets the same
// successor again and a fresh access token; a token from further back revokes the
// grant, because one of the two holders is not the client.
func (s *Server) exchangeRefresh(ctx context.Context, c *client, req *oauth.TokenRequest) (*tokenResponse, *oauth.Error) {
	ring := s.st.ring.Load()
	grantID, err := ring.ParseRefresh(req.RefreshToken)
	if err != nil {
		return nil, invalidGrant("it is not a refresh token of this server")
	}
	g, perr := s.grantFor(ctx, grantID, c, req)
	if perr != nil {
		return nil, perr
	}
	scopes, perr := narrowScopes(req.Scope, g.Scopes, s.byResource[g.Resource].cfg.ScopeIncludes)
	if perr != nil {
		return nil, perr
	}
	if perr := s.stillAllowed(ctx, g); perr != nil {
		return nil, perr
	}
	rotated, perr := s.rotate(ctx, ring, g, req.RefreshToken)
	if perr != nil {
		return nil, perr
	}
	refresh := successor(rotated, ring.Successors(g.ID, req.RefreshToken, rotated.Nonce))
	if refresh == "" { // only where the key that derived it has left the ring
		return nil, invalidGrant("its successor cannot be derived with the present keys")
	}
	s.st.count(EventRefreshed)
	if rotated.Repeat {
		s.st.count(EventRefreshRepeated)
	}
	return s.respond(rotated.Grant, scopes, refresh)
}

// rotate has the store put a successor in place of the presented token.
func (s *Server) rotate(ctx context.Context, ring *token.Ring, g *storage.Grant, presented string) (*storage.Rotated, *oauth.Error) {
	nonce := token.NewNonce()
	ctx, cancel := finish(ctx) // reuse found is reuse acted upon, whoever hangs up
	defer cancel()
	rotated, err := s.st.store.RotateRefresh(ctx, s.cfg.Issuer, g.ID, storage.Rotation{
		Presented: token.Hash(presented),
		Successor: token.Hash(ring.Successors(g.ID, presented, nonce)[0]),
		Nonce:     nonce,
		TTL:       s.cfg.RefreshTokenTTL, Grace: s.cfg.RefreshGrace, UnusedGrace: unusedGrace,
	})
	switch {
	case errors.Is(err, storage.ErrReuse):
		s.st.forgetGrant(g.ID)
		s.st.count(EventRefreshReused)
		s.log.Warn("refresh token reused after its time, grant revoked", "subject", g.Subject, "client_id", g.ClientID)
		return nil, invalidGrant("it was used before, sign in again")
	case errors.Is(err, storage.ErrNotFound):
		s.st.forgetGrant(g.ID)
		return nil, invalidGrant("it expired or was revoked")
	case err != nil:
		s.st.live.doubt(g.ID)
		return nil, s.storeError("rotate refresh", err)
	}
	return rotated, nil
}

// successor picks the candidate that the grant knows: a repeat may come after the
// key that made the first answer was replaced.
func successor(r *storage.Rotated, candidates []string) string {
	family := r.Grant.Refresh
	for _, candidate := range candidates {
		h := storage.Hash(token.Hash(candidate))
		known := equalHash(h, family.Current) || slices.ContainsFunc(family.Retired, func(old storage.Retired) bool {
			return equalHash(h, old.Hash)
		})
		if known {
			return candidate
		}
	}
	return ""
}

// narrowScopes applies the scope parameter of a refresh: less than was granted is
// possible, more never (RFC 6749 §6). A scope that a granted one includes is less.
// Scopes beyond the grant are dropped.
func narrowScopes(scope string, granted []string, h oauth.ScopeHierarchy) ([]string, *oauth.Error) {
	requested, perr := oauth.ParseScope(scope)
	if perr != nil || len(requested) == 0 {
		return granted, perr
	}
	kept := slices.DeleteFunc(slices.Clone(granted), func(sc string) bool { return !slices.Contains(requested, sc) })
	for _, sc := range requested {
		if !slices.Contains(kept, sc) && h.Covers(granted, sc) {
			kept = append(kept, sc)
		}
	}
	if len(kept) == 0 {
		return nil, oauth.NewError(oauth.CodeInvalidScope, "none of the requested scopes was granted")
	}
	return kept, nil
}
