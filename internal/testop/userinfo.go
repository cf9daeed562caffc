// SPDX-License-Identifier: Apache-2.0

package testop

import (
	"context"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// SetUserinfoFromScopes is what SetUserinfoFromRequest replaces.
func (s *store) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// SetUserinfoFromRequest is asked for the claims of an id_token.
func (s *store) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, r op.IDTokenRequest, scopes []string) error {
	if !s.p.config().InIDToken {
		info.Subject = r.GetSubject()
		return nil
	}
	return s.describe(info, r.GetSubject(), scopes)
}

// SetUserinfoFromToken is asked by the userinfo endpoint.
func (s *store) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, tokenID, _, _ string) error {
	s.p.mu.Lock()
	granted, ok := s.p.access[tokenID]
	s.p.mu.Unlock()
	if !ok || granted.expires.Before(time.Now()) {
		return oidc.ErrAccessDenied()
	}
	return s.describe(info, granted.subject, granted.scopes)
}

func (s *store) describe(info *oidc.UserInfo, subject string, scopes []string) error {
	u, ok := s.p.user(subject)
	if !ok {
		return errNotFound
	}
	info.Subject = u.Subject
	if slices.Contains(scopes, oidc.ScopeProfile) {
		info.PreferredUsername, info.Name = u.Username, u.Name
	}
	if slices.Contains(scopes, oidc.ScopeEmail) {
		info.Email, info.EmailVerified = u.Email, oidc.Bool(u.EmailVerified)
	}
	if slices.Contains(scopes, "groups") {
		groups := u.Groups
		if groups == nil {
			groups = []string{}
		}
		info.AppendClaims(s.p.config().GroupsClaim, groups)
	}
	return nil
}

func (s *store) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errNotFound
}

func (s *store) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}
