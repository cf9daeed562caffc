// SPDX-License-Identifier: Apache-2.0

package github

import (
	"context"
	"net/url"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// Identify implements upstream.Redirector. It redeems the code, asks who the
// token belongs to and, where rules need them, for memberships. It makes one
// token request and at most maxCalls API calls, nearly always four.
func (g *GitHub) Identify(ctx context.Context, callback url.Values, verifier, redirectURI string) (*upstream.SignIn, error) {
	code, err := g.checkCallback(callback)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	token, granted, err := g.exchange(ctx, code, verifier, redirectURI)
	if err != nil {
		return nil, err
	}
	f, err := g.load(ctx, g.newSession(token.Access), granted, nil)
	if err != nil {
		return nil, err
	}
	g.noteMissing(ctx, f)
	return &upstream.SignIn{Identity: f.identity, Token: token, Hints: g.hints(granted, f)}, nil
}
