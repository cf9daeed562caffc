// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// Error codes of a request that must not be answered with a page (OpenID Connect
// Core §3.1.2.6).
const (
	codeLoginRequired       = "login_required"
	codeConsentRequired     = "consent_required"
	codeInteractionRequired = "interaction_required"
)

// prompt is what a request asks of the conversation with the person (OpenID
// Connect Core §3.1.2.1). OAuth does not have the parameter, but clients send it:
// the MCP SDKs ask for "consent" together with offline_access.
type prompt struct {
	// none: no page; an error says what would have been needed.
	none bool
	// login: the person signs in upstream, whoever is signed in here.
	login bool
	// ask: the person is asked, whatever they decided before: "consent", "login"
	// and "select_account".
	ask bool
}

// parsePrompt ignores values it does not know, as every other unknown parameter.
func parsePrompt(value string) (prompt, *oauth.Error) {
	var p prompt
	values := strings.Fields(value)
	for _, v := range values {
		switch v {
		case "none":
			p.none = true
		case "login":
			p.login, p.ask = true, true
		case "consent", "select_account":
			p.ask = true
		}
	}
	if p.none && len(values) > 1 {
		return prompt{}, oauth.NewError(oauth.CodeInvalidRequest, "prompt none excludes every other value")
	}
	return p, nil
}
