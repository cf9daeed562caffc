// SPDX-License-Identifier: Apache-2.0

package github

import (
	"context"
	"slices"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// findings is what one look at a user found.
type findings struct {
	identity identity.Identity
	// sso names organizations that were left out of lists.
	sso ssoHeader
	// cut says that teams above the user's may be missing.
	cut bool
}

// load asks for everything that rules and headers need. last is who the user
// was at the last check, nil at a sign-in.
func (g *GitHub) load(ctx context.Context, s *session, granted scopes, last *identity.Identity) (findings, error) {
	u, h, err := s.user(ctx)
	if err != nil {
		return findings{}, err
	}
	if last != nil && u.id != last.ID {
		return findings{}, g.wrongUser(ctx, last.ID, u.id)
	}
	granted = granted.seen(h.scopes)
	if err := g.checkScopes(granted); err != nil {
		return findings{}, err
	}
	f := findings{identity: identity.Identity{
		Upstream: g.name,
		Kind:     identity.KindGitHub,
		ID:       u.id,
		Login:    u.login,
		Name:     u.name,
	}}
	if f.identity.Email, err = g.email(ctx, s, granted, last); err != nil {
		return findings{}, err
	}
	f.identity.EmailVerified = f.identity.Email != ""
	if err := g.groups(ctx, s, &f); err != nil {
		return findings{}, err
	}
	return f, nil
}

// email is the verified primary address. Not being allowed to see addresses is
// having none, unless there was one at the last check: then it is not known.
func (g *GitHub) email(ctx context.Context, s *session, granted scopes, last *identity.Identity) (string, error) {
	had := last != nil && last.EmailVerified
	if had && granted.known() && !granted.readEmail() {
		return "", upstream.Refuse(upstream.ReasonInsufficientScope, "github: %s is not granted any more", scopeEmail)
	}
	address, err := s.primaryEmail(ctx)
	if err != nil && hidesEmail(err) && !had {
		return "", nil
	}
	return address, err
}

// groups loads the memberships that rules ask for, and no others: lower-case
// "org" and "org/team", sorted.
func (g *GitHub) groups(ctx context.Context, s *session, f *findings) error {
	var all []string
	if g.needs.Orgs {
		orgs, sso, err := s.orgs(ctx)
		if err != nil {
			return err
		}
		all, f.sso = append(all, orgs...), f.sso.join(sso)
	}
	if g.needs.Teams {
		teams, sso, cut, err := s.teams(ctx)
		if err != nil {
			return err
		}
		all, f.sso, f.cut = append(all, teams...), f.sso.join(sso), cut
	}
	slices.Sort(all)
	f.identity.Groups = slices.Compact(all)
	return nil
}
