// SPDX-License-Identifier: Apache-2.0

package oauth

// Introspection is the introspection response (RFC 7662 §2.2). The zero value is
// that of a token which is not active, and marshals to {"active":false} alone: why
// it is not is nobody's business.
type Introspection struct {
	Active   bool   `json:"active"`
	Scope    string `json:"scope,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	// Username is how the person is called at the upstream, for people to read.
	// Subject is who it is.
	Username string `json:"username,omitempty"`
	// TokenType is "Bearer" for an access token. A refresh token has none: it is
	// no token to be presented to a resource (RFC 6749 §5.1).
	TokenType string `json:"token_type,omitempty"`
	// ExpiresAt is in seconds since 1970.
	ExpiresAt int64  `json:"exp,omitempty"`
	Subject   string `json:"sub,omitempty"`
	// Audience is the one resource that the token is good for.
	Audience string `json:"aud,omitempty"`
	Issuer   string `json:"iss,omitempty"`
}
