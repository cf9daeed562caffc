// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// serveRevoke is the revocation endpoint (RFC 7009 §2). Either token of a grant
// revokes the grant, and with it every token of it: the grant is what the person
// consented to, and a client that gives one of its tokens back is done. A token
// that is already of no use is no error, however it came to that: what the client
// wants is so.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	p, perr := readForm(w, r)
	if perr != nil {
		writeOAuthError(w, perr)
		return
	}
	c, perr := s.authenticateClient(w, r, p)
	if perr != nil {
		s.refuseToken(w, r, "", perr)
		return
	}
	raw, perr := oauth.ParseTokenParam(p)
	if perr == nil {
		perr = s.revokeToken(r.Context(), c, raw)
	}
	if perr != nil {
		s.refuseToken(w, r, c.ID, perr)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

func (s *Server) revokeToken(ctx context.Context, c *client, raw string) *oauth.Error {
	grantID, owner, perr := s.revocable(ctx, raw)
	switch {
	case perr != nil || grantID == "":
		return perr
	case owner != c.ID:
		return oauth.NewError(oauth.CodeInvalidGrant, "the token was issued to another client")
	}
	if err := s.st.revokeGrant(ctx, s.cfg.Issuer, grantID); err != nil {
		return s.storeError("revoke grant", err)
	}
	s.st.count(EventRevoked)
	s.log.Info("grant revoked by its client", "client_id", c.ID)
	return nil
}

// revocable finds the grant of a token and the client it belongs to. No grant: the
// token is not of this issuer, or expired, or its grant is gone.
//
// A refresh token that was exchanged long ago still names its grant: presenting it
// to /token would revoke the grant as well.
func (s *Server) revocable(ctx context.Context, raw string) (grantID, clientID string, perr *oauth.Error) {
	ring := s.st.ring.Load()
	if a, err := ring.OpenAccess(raw); err == nil {
		if a.Issuer != s.cfg.Issuer || !s.st.now().Before(a.ExpiresAt) {
			return "", "", nil
		}
		return a.GrantID, a.ClientID, nil
	}
	id, err := ring.ParseRefresh(raw)
	if err != nil {
		return "", "", nil
	}
	g, err := s.st.store.Grant(ctx, s.cfg.Issuer, id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		s.st.forgetGrant(id) // perhaps revoked by a request that did not get this far
		return "", "", nil
	case err != nil:
		return "", "", s.storeError("grant", err)
	}
	return g.ID, g.ClientID, nil
}
