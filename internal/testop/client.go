// SPDX-License-Identifier: Apache-2.0

package testop

import (
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// client implements op.Client: the one web application the provider knows.
type client struct{ cfg Config }

var _ op.Client = client{}

func (c client) GetID() string                       { return c.cfg.ClientID }
func (c client) RedirectURIs() []string              { return c.cfg.RedirectURIs }
func (c client) PostLogoutRedirectURIs() []string    { return nil }
func (c client) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (c client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }
func (c client) IDTokenLifetime() time.Duration      { return 5 * time.Minute }
func (c client) ClockSkew() time.Duration            { return 0 }
func (c client) LoginURL(id string) string           { return c.cfg.prefix() + "/login?id=" + id }

// DevMode allows redirect URIs on loopback.
func (c client) DevMode() bool { return true }

func (c client) AuthMethod() oidc.AuthMethod {
	if c.cfg.ClientSecret == "" {
		return oidc.AuthMethodNone
	}
	return oidc.AuthMethodBasic
}

func (c client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

func (c client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}

func (c client) RestrictAdditionalIdTokenScopes() func([]string) []string     { return unchanged }
func (c client) RestrictAdditionalAccessTokenScopes() func([]string) []string { return unchanged }
func (c client) IsScopeAllowed(scope string) bool                             { return slices.Contains(c.cfg.Scopes, scope) }

func (c client) IDTokenUserinfoClaimsAssertion() bool { return c.cfg.InIDToken }

func unchanged(scopes []string) []string { return scopes }
