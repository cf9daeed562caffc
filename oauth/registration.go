// SPDX-License-Identifier: Apache-2.0

package oauth

import "slices"

const (
	maxRegistrationBytes = 64 << 10
	maxRedirectURIs      = 10
)

// Application types of OpenID Connect Registration §2, which MCP clients send.
const (
	ApplicationNative = "native"
	ApplicationWeb    = "web"
)

// Registration is what we keep of a client's metadata (RFC 7591 §2), checked
// and with defaults filled in. It marshals to the same names; members that are
// empty are left out, because clients refuse null.
type Registration struct {
	// RedirectURIs passed [ParseRedirectURI], each once, at most 10.
	RedirectURIs []string `json:"redirect_uris"`
	// ClientName is text to show, at most 200 runes, without control and
	// direction characters. It is the client's claim: escape it, and do not
	// trust it.
	ClientName string `json:"client_name,omitempty"`
	// ClientURI, LogoURI, TOSURI and PolicyURI are http or https, or empty.
	ClientURI string `json:"client_uri,omitempty"`
	LogoURI   string `json:"logo_uri,omitempty"`
	TOSURI    string `json:"tos_uri,omitempty"`
	PolicyURI string `json:"policy_uri,omitempty"`
	// TokenEndpointAuthMethod is AuthNone, AuthBasic or AuthPost.
	TokenEndpointAuthMethod string `json:"token_endpoint_auth_method"`
	// GrantTypes are those we know; authorization_code is always among them.
	GrantTypes []string `json:"grant_types"`
	// ResponseTypes is always ["code"].
	ResponseTypes []string `json:"response_types"`
	// Scope is normalised.
	Scope string `json:"scope,omitempty"`
	// ApplicationType is as sent, or inferred from the redirect URIs (R4.18).
	ApplicationType string `json:"application_type"`
	SoftwareID      string `json:"software_id,omitempty"`
	SoftwareVersion string `json:"software_version,omitempty"`
}

// Confidential reports whether the client is to be given a secret.
func (r *Registration) Confidential() bool { return r.TokenEndpointAuthMethod != AuthNone }

// ParseRegistration reads the body of a registration request (RFC 7591 §3.1).
//
// Unknown members, unknown grant types and web addresses that are not http or
// https are ignored; null and "" count as absent. Anything else that is wrong
// is invalid_client_metadata. One unacceptable redirect URI refuses the whole
// registration with invalid_redirect_uri: a client that got only some of what
// it asked for would find out in front of the user. The description gives its
// index and the reason.
func ParseRegistration(body []byte) (*Registration, *Error) {
	if len(body) > maxRegistrationBytes {
		return nil, NewError(CodeInvalidClientMetadata, "the document is longer than %d bytes", maxRegistrationBytes)
	}
	m, err := newMetadata(body)
	if err != nil {
		return nil, err
	}
	r := m.registration()
	if m.err != nil {
		return nil, m.err
	}
	for _, check := range []func() *Error{
		r.checkRedirectURIs, r.checkAuthMethod, r.checkGrants, r.checkScope,
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	r.inferApplicationType()
	return r, nil
}

// registration reads the members that a registration and a document have in
// common. Only their types are checked.
func (m *metadata) registration() *Registration {
	return &Registration{
		ClientName:              displayText(m.str("client_name")),
		ClientURI:               webURL(m.str("client_uri")),
		LogoURI:                 webURL(m.str("logo_uri")),
		TOSURI:                  webURL(m.str("tos_uri")),
		PolicyURI:               webURL(m.str("policy_uri")),
		TokenEndpointAuthMethod: m.str("token_endpoint_auth_method"),
		Scope:                   m.str("scope"),
		ApplicationType:         m.str("application_type"),
		SoftwareID:              displayText(m.str("software_id")),
		SoftwareVersion:         displayText(m.str("software_version")),
		GrantTypes:              m.list("grant_types"),
		ResponseTypes:           m.list("response_types"),
		RedirectURIs:            m.list("redirect_uris"),
	}
}

func (r *Registration) checkRedirectURIs() *Error {
	switch n := len(r.RedirectURIs); {
	case n == 0:
		return NewError(CodeInvalidRedirectURI, "redirect_uris is missing")
	case n > maxRedirectURIs:
		return NewError(CodeInvalidRedirectURI, "redirect_uris has more than %d entries", maxRedirectURIs)
	}
	var uris []string
	for i, s := range r.RedirectURIs {
		if _, _, reason := parseRedirectURI(s); reason != "" {
			return NewError(CodeInvalidRedirectURI, "redirect_uris[%d] %s", i, reason)
		}
		if !slices.Contains(uris, s) {
			uris = append(uris, s)
		}
	}
	r.RedirectURIs = uris
	return nil
}

// checkAuthMethod applies the default of RFC 7591 §2.
func (r *Registration) checkAuthMethod() *Error {
	switch r.TokenEndpointAuthMethod {
	case "":
		r.TokenEndpointAuthMethod = AuthBasic
	case AuthNone, AuthBasic, AuthPost:
	default:
		return NewError(CodeInvalidClientMetadata,
			"token_endpoint_auth_method must be none, client_secret_basic or client_secret_post")
	}
	return nil
}

// checkGrants drops grant types we do not know: clients list all they can do.
// A response type other than code is a client that cannot work here.
func (r *Registration) checkGrants() *Error {
	if len(r.ResponseTypes) > 0 && !slices.Contains(r.ResponseTypes, "code") {
		return NewError(CodeInvalidClientMetadata, "response_types must contain code")
	}
	r.ResponseTypes = []string{"code"}
	grants := []string{GrantAuthorizationCode}
	if slices.Contains(r.GrantTypes, GrantRefreshToken) {
		grants = append(grants, GrantRefreshToken)
	}
	r.GrantTypes = grants
	return nil
}

func (r *Registration) checkScope() *Error {
	scopes, err := ParseScope(r.Scope)
	if err != nil {
		return NewError(CodeInvalidClientMetadata, "%s", err.Description)
	}
	r.Scope = FormatScope(scopes)
	return nil
}

// inferApplicationType never judges: the OpenID default "web" would outlaw the
// loopback URIs most MCP clients use.
func (r *Registration) inferApplicationType() {
	if r.ApplicationType == ApplicationNative || r.ApplicationType == ApplicationWeb {
		return
	}
	r.ApplicationType = ApplicationWeb
	if slices.ContainsFunc(r.RedirectURIs, func(s string) bool {
		kind, _ := ParseRedirectURI(s)
		return kind != RedirectHTTPS
	}) {
		r.ApplicationType = ApplicationNative
	}
}
