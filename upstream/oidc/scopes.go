// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"fmt"
	"slices"

	"golang.org/x/oauth2"
)

const (
	scopeOpenID  = "openid"
	scopeGroups  = "groups"
	scopeOffline = "offline_access"
)

// settleScopes reads the operator's scopes, or takes the default. Somebody who
// writes offline_access wants a refresh token, however the provider has it asked
// for.
func (s *settled) settleScopes(given []string) error {
	s.scopes = []string{scopeOpenID}
	if s.chosen = len(given) > 0; !s.chosen {
		given = []string{"profile", "email"}
	}
	for _, scope := range given {
		switch {
		case !isScope(scope):
			return fmt.Errorf("scopes: %q is not one scope; write them separated by blanks", scope)
		case scope == scopeOffline:
			s.offline = true
		case !slices.Contains(s.scopes, scope):
			s.scopes = append(s.scopes, scope)
		}
	}
	return nil
}

// Scopes implements upstream.Redirector. Before the provider was heard, it is what
// the configuration says.
func (o *OIDC) Scopes() []string { return o.scopesFor(o.discovery.peek()) }

// scopesFor are the scopes for a provider, whose metadata may not be known yet.
// Providers refuse scopes they do not have, so those that were not chosen by the
// operator are asked for only where they are listed: groups, and offline_access
// where there is a list at all.
func (o *OIDC) scopesFor(m *metadata) []string {
	scopes := slices.Clone(o.scopes)
	listed := func(scope string) bool { return m != nil && slices.Contains(m.scopes, scope) }
	if !o.chosen && o.groupsClaim == defaultGroupsClaim && listed(scopeGroups) {
		scopes = append(scopes, scopeGroups)
	}
	unlisted := m != nil && len(m.scopes) > 0 && !listed(scopeOffline)
	if o.offline && !o.isGoogle() && !unlisted {
		scopes = append(scopes, scopeOffline)
	}
	return scopes
}

// prompts are the parameters that decide what the provider's pages ask.
func (o *OIDC) prompts(askAccount bool) []oauth2.AuthCodeOption {
	var options []oauth2.AuthCodeOption
	prompt := ""
	if askAccount {
		prompt = "select_account"
	}
	if o.offline && o.isGoogle() {
		// Google gives a refresh token for this, and only where the user agrees anew.
		options = append(options, oauth2.AccessTypeOffline)
		if prompt != "" {
			prompt += " "
		}
		prompt += "consent"
	}
	if prompt != "" {
		options = append(options, oauth2.SetAuthURLParam("prompt", prompt))
	}
	return options
}

// isScope accepts a scope-token of RFC 6749 §3.3.
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
