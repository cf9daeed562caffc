// SPDX-License-Identifier: Apache-2.0

package github

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// Identify implements upstream.Redirector. It redeems the code, asks who the
// token belongs to and, where rules need them, for memberships. The token does
// not outlive the call.
func (g *GitHub) Identify(ctx context.Context, callback url.Values, verifier, redirectURI string) (*upstream.SignIn, error) {
	code, err := g.checkCallback(callback)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, signInTimeout)
	defer cancel()
	token, err := g.exchange(ctx, code, verifier, redirectURI)
	if err != nil {
		return nil, err
	}
	id, err := g.load(ctx, g.newSession(token.value), token)
	if err != nil {
		return nil, err
	}
	return &upstream.SignIn{Identity: id}, nil
}

func (g *GitHub) load(ctx context.Context, s *session, token accessToken) (identity.Identity, error) {
	u, header, err := s.user(ctx)
	if err != nil {
		return identity.Identity{}, err
	}
	if err := g.checkScopes(token, header.Values("X-OAuth-Scopes")); err != nil {
		return identity.Identity{}, err
	}
	id := identity.Identity{
		Upstream: g.name,
		Kind:     identity.KindGitHub,
		ID:       u.id,
		Login:    u.login,
		Name:     u.name,
	}
	if id.Email, err = s.primaryEmail(ctx); err != nil {
		return identity.Identity{}, err
	}
	id.EmailVerified = id.Email != ""
	if id.Groups, err = g.groups(ctx, s); err != nil {
		return identity.Identity{}, err
	}
	return id, nil
}

// checkScopes refuses a token that cannot see the memberships rules are about.
// Without it everybody would merely seem to be in no organization. Both lists
// have to agree where both are given; for neither, nothing is proven.
func (g *GitHub) checkScopes(token accessToken, header []string) error {
	if !g.needs.Orgs && !g.needs.Teams || strings.HasPrefix(token.value, appTokenPrefix) {
		return nil
	}
	granted := token.known || len(header) > 0
	if token.known {
		granted = granted && token.scopes.readsOrgs()
	}
	if len(header) > 0 {
		granted = granted && parseScopes(strings.Join(header, ",")).readsOrgs()
	}
	if !granted {
		return upstream.Refuse(upstream.ReasonInsufficientScope,
			"github: allow rules need %s, which was not granted", scopeReadOrg)
	}
	return nil
}

// groups loads the memberships that rules ask for, and no others: lower-case
// "org" and "org/team", sorted.
func (g *GitHub) groups(ctx context.Context, s *session) ([]string, error) {
	var all []string
	if g.needs.Orgs {
		orgs, err := s.orgs(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, orgs...)
	}
	if g.needs.Teams {
		teams, err := s.teams(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, teams...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
