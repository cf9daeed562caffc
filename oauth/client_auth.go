// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// Client authentication methods (RFC 7591 §2).
const (
	AuthNone  = "none"
	AuthBasic = "client_secret_basic"
	AuthPost  = "client_secret_post"
)

// ClientCredentials is who a request to the token, revocation or introspection
// endpoint claims to come from (RFC 6749 §2.3). Nothing is verified yet.
type ClientCredentials struct {
	ID string
	// Secret is empty for AuthNone.
	Secret string
	// RawSecret is Secret before form-decoding. RFC 6749 §2.3.1 has clients
	// form-encode both parts of Basic, the TypeScript SDKs do not: a secret is
	// right if either form is. For AuthPost both are the same.
	RawSecret string
	// Method is AuthNone, AuthBasic, AuthPost or AuthPrivateKeyJWT.
	Method string
	// Assertion is the JWT of AuthPrivateKeyJWT. ID is then the client_id of the
	// body or, without one, what the assertion claims to be.
	Assertion string
	// Basic says that the request has a Basic header, even with an empty secret:
	// a refusal then carries `WWW-Authenticate: Basic` (RFC 6749 §5.2).
	Basic bool
}

// ParseClientCredentials reads the credentials from header and form. A request
// that uses two methods at once is invalid_request, one that names no client or
// uses a scheme we do not know invalid_client. An empty secret is none at all:
// that is how some public clients fill the form.
//
// The credentials are not nil on error where a Basic header was seen.
func ParseClientCredentials(h http.Header, p Params) (*ClientCredentials, *Error) {
	var id, secret, assertion, assertionType string
	err := p.getAll(map[string]*string{
		"client_id": &id, "client_secret": &secret,
		"client_assertion": &assertion, "client_assertion_type": &assertionType,
	}, "client_id", "client_secret", "client_assertion", "client_assertion_type")
	if err != nil {
		return nil, err
	}
	c, err := parseBasic(h)
	switch {
	case err != nil:
		return c, err
	case assertion != "" || assertionType != "":
		if c != nil || secret != "" {
			return c, NewError(CodeInvalidRequest, "the client authenticates with an assertion and with a secret")
		}
		return assertedClient(id, assertion, assertionType)
	case c != nil && secret != "":
		return c, NewError(CodeInvalidRequest, "the client authenticates in the header and in the body")
	case c != nil && id != "" && id != c.ID:
		return c, NewError(CodeInvalidRequest, "client_id in the body differs from the one in the header")
	case c == nil:
		c = &ClientCredentials{ID: id, Secret: secret, RawSecret: secret, Method: AuthPost}
	}
	if c.Secret == "" {
		c.Method = AuthNone
	}
	return c, c.check()
}

// assertedClient reads a client assertion (RFC 7521 §4.2, RFC 7523 §2.2).
// client_id is optional beside it, and must be the same if it is there.
func assertedClient(id, assertion, assertionType string) (*ClientCredentials, *Error) {
	switch {
	case assertion == "":
		return nil, NewError(CodeInvalidRequest, "client_assertion is missing")
	case assertionType != AssertionTypeJWT:
		return nil, NewError(CodeInvalidClient, "client_assertion_type is not supported")
	}
	payload, ok := AssertionPayload(assertion)
	if !ok {
		return nil, badAssertion("it is not a signed JWT")
	}
	claims, err := ParseAssertionClaims(payload)
	switch {
	case err != nil:
		return nil, err
	case id != "" && id != claims.Subject:
		return nil, badAssertion("sub is not the client_id")
	}
	c := &ClientCredentials{ID: claims.Subject, Method: AuthPrivateKeyJWT, Assertion: assertion}
	return c, c.check()
}

func (c *ClientCredentials) check() *Error {
	switch {
	case c.ID == "":
		return NewError(CodeInvalidClient, "client_id is missing")
	case len(c.ID) > maxClientIDBytes || !visible(c.ID):
		return NewError(CodeInvalidClient, "client_id is malformed")
	case len(c.RawSecret) > maxClientIDBytes || !visible(c.Secret):
		return NewError(CodeInvalidClient, "client_secret is malformed")
	}
	return nil
}

// parseBasic reads a Basic header (RFC 7617 §2, RFC 6749 §2.3.1). It returns nil
// if there is no Authorization header at all.
func parseBasic(h http.Header) (*ClientCredentials, *Error) {
	values := h.Values("Authorization")
	switch {
	case len(values) == 0:
		return nil, nil
	case len(values) > 1:
		return nil, NewError(CodeInvalidRequest, "the Authorization header is repeated")
	}
	scheme, encoded, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Basic") {
		return nil, NewError(CodeInvalidClient, "the Authorization scheme must be Basic")
	}
	c := &ClientCredentials{Method: AuthBasic, Basic: true}
	// RFC 9110 §11.4 allows more than one space.
	encoded = strings.TrimRight(strings.Trim(encoded, " "), "=")
	raw, decodeErr := base64.RawStdEncoding.DecodeString(encoded)
	rawID, rawSecret, found := strings.Cut(string(raw), ":")
	if decodeErr != nil || !found {
		return c, NewError(CodeInvalidClient, "the Authorization header is malformed")
	}
	c.ID, c.Secret, c.RawSecret = formDecode(rawID), formDecode(rawSecret), rawSecret
	return c, nil
}

// formDecode undoes form encoding, or returns s as it is where that fails: it
// was not encoded then.
func formDecode(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}
