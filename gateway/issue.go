// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// codeTTL is how long a client may take to redeem its code (R5.12).
const codeTTL = 60 * time.Second

// issueCode stores a grant that begins as a code.
func (s *Server) issueCode(ctx context.Context, a storage.Authorization, id identity.Identity) (string, error) {
	now := s.st.now()
	grantID := token.NewGrantID()
	code := s.st.ring.Load().NewCode(grantID)
	g := &storage.Grant{
		Issuer: s.cfg.Issuer, ID: grantID, Subject: id.Subject(), ClientID: a.ClientID,
		Resource: a.Resource, Scopes: a.Scopes, ForwardsToken: a.ForwardsToken, Identity: id,
		Code: storage.Code{
			Hash: token.Hash(code), Challenge: a.Challenge, RedirectURI: a.RedirectURI,
			RedirectURIGiven: a.RedirectURIGiven, ExpiresAt: now.Add(codeTTL),
		},
		CreatedAt: now, ExpiresAt: now.Add(codeTTL),
	}
	if err := s.st.store.CreateGrant(ctx, g); err != nil {
		return "", fmt.Errorf("create grant: %w", err)
	}
	return code, nil
}

// equalHash and sameHash compare in constant time.
func equalHash(a, b storage.Hash) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

func sameHash(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
