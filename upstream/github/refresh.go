// SPDX-License-Identifier: Apache-2.0

package github

import (
	"context"
	"crypto/sha256"
	"errors"

	"golang.org/x/oauth2"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// Refresh implements upstream.Refresher, for user tokens of GitHub Apps. It makes
// one request. GitHub takes a refresh token once and ends the access token that
// came with it, so that of two callers at once both get the one new token. An
// answer that does not arrive costs the user a sign-in.
//
// A refresh token that GitHub does not take was used, revoked or is six months
// old: ReasonRevoked. Client credentials that it does not take are the
// operator's: ReasonMisconfigured.
func (g *GitHub) Refresh(ctx context.Context, tok *upstream.Token) (*upstream.Token, error) {
	if tok == nil || !isHeaderSafe(tok.Refresh) {
		return nil, upstream.Refuse(upstream.ReasonSignInNeeded, "github: no refresh token is kept for this user")
	}
	key := sha256.Sum256([]byte(tok.Refresh))
	// Whoever asked may go away. What GitHub has sent by then is not lost for it.
	ctx = context.WithoutCancel(ctx)
	renewed, err, _ := g.renewing.Do(string(key[:]), func() (any, error) { return g.refresh(ctx, tok.Refresh) })
	if err != nil {
		return nil, err
	}
	fresh := *renewed.(*upstream.Token)
	return &fresh, nil
}

// refresh is RFC 6749 §6. The client's own timeout bounds it.
func (g *GitHub) refresh(ctx context.Context, refreshToken string) (*upstream.Token, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, g.client)
	t, err := g.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: refreshToken}).Token()
	if err != nil {
		return nil, g.tokenRefusal(err, refreshReason)
	}
	return g.tokenOf(t)
}

// refreshReason maps the error codes of a refresh.
func refreshReason(code string, status int) upstream.Reason {
	switch code {
	case "bad_refresh_token", "invalid_grant":
		return upstream.ReasonRevoked
	}
	return clientReason(code, status)
}

// refusalOf is the refusal in an error, or nil.
func refusalOf(err error) *upstream.Refusal {
	var r *upstream.Refusal
	errors.As(err, &r)
	return r
}
