// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/json"
	"slices"
	"strings"
)

const (
	// MaxClientDocumentBytes bounds a client ID metadata document. The draft
	// recommends 5 KB, which is what the known clients stay far below; a document
	// with a few inline keys needs more.
	MaxClientDocumentBytes = 16 << 10

	// maxDocumentURL keeps the id of a client within what travels well inside
	// tokens and headers.
	maxDocumentURL       = 512
	maxDocumentRedirects = 50
)

// ClientDocument is a client ID metadata document
// (draft-ietf-oauth-client-id-metadata-document), checked: what a client says of
// itself at the URL that is its client id.
type ClientDocument struct {
	Registration
	// ClientID is the URL, byte for byte.
	ClientID string
	// JWKS or JWKSURI, exactly one of them, hold the public keys of a client whose
	// TokenEndpointAuthMethod is AuthPrivateKeyJWT. JWKS is not decoded.
	JWKS    json.RawMessage
	JWKSURI string
	// SigningAlg is the only algorithm the client signs with, or empty.
	SigningAlg string
}

// IsClientDocumentURL reports whether a client id is meant as the URL of a
// document. Nothing else that names a client begins like this.
func IsClientDocumentURL(clientID string) bool { return strings.HasPrefix(clientID, "https://") }

// ClientDocumentHost checks that a client id is a URL as R4.2 demands and returns
// its host in lower case. It has a path other than "/", no dot segments, no
// fragment and no user. A query, which the draft discourages, is refused: it
// would turn one document into any number of clients.
func ClientDocumentHost(clientID string) (string, *Error) {
	u, reason := splitURI(clientID)
	if reason == "" {
		reason = u.httpHost()
	}
	switch {
	case reason != "":
	case u.scheme != "https" || !IsClientDocumentURL(clientID):
		reason = "must begin with https://"
	case len(clientID) > maxDocumentURL:
		reason = "is too long"
	case u.path == "" || u.path == "/":
		reason = "must have a path"
	case u.hasQuery:
		reason = "must not have a query"
	default:
		return strings.ToLower(u.host), nil
	}
	return "", NewError(CodeInvalidRequest, "client_id %s", reason)
}

var documentMembers = []string{
	"client_id", "client_secret", "client_secret_expires_at", "jwks", "jwks_uri", "token_endpoint_auth_signing_alg",
}

// ParseClientDocument reads the document found at clientID (R4.3, R4.5). Unknown
// members and grant types are ignored, as in a registration. So are redirect URIs
// that are not acceptable, for the document speaks to every server there is; one
// must remain. The error is invalid_client_metadata or invalid_redirect_uri and
// quotes nothing of the document.
func ParseClientDocument(clientID string, body []byte) (*ClientDocument, *Error) {
	if len(body) > MaxClientDocumentBytes {
		return nil, NewError(CodeInvalidClientMetadata, "the document is longer than %d bytes", MaxClientDocumentBytes)
	}
	m, err := newMetadata(body, documentMembers...)
	if err != nil {
		return nil, err
	}
	d := &ClientDocument{
		Registration: *m.registration(),
		ClientID:     m.str("client_id"),
		JWKSURI:      m.str("jwks_uri"),
		SigningAlg:   m.str("token_endpoint_auth_signing_alg"),
	}
	if m.has("jwks") {
		d.JWKS = m.members["jwks"]
	}
	switch {
	case m.err != nil:
		return nil, m.err
	case d.ClientID != clientID:
		return nil, NewError(CodeInvalidClientMetadata, "client_id is not the URL of the document")
	case d.ClientName == "":
		return nil, NewError(CodeInvalidClientMetadata, "client_name is missing")
	case m.has("client_secret") || m.has("client_secret_expires_at"):
		return nil, NewError(CodeInvalidClientMetadata, "a public document cannot hold a client_secret")
	}
	for _, check := range []func() *Error{d.checkRedirects, d.checkMethod, d.checkGrants, d.checkScope} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	d.inferApplicationType()
	return d, nil
}

// checkRedirects keeps what [ParseRedirectURI] accepts.
func (d *ClientDocument) checkRedirects() *Error {
	var uris []string
	for _, s := range d.RedirectURIs {
		if _, err := ParseRedirectURI(s); err == nil && !slices.Contains(uris, s) {
			uris = append(uris, s)
		}
	}
	switch {
	case len(d.RedirectURIs) == 0:
		return NewError(CodeInvalidRedirectURI, "redirect_uris is missing")
	case len(uris) == 0:
		return NewError(CodeInvalidRedirectURI, "redirect_uris has no entry that is acceptable")
	case len(uris) > maxDocumentRedirects:
		return NewError(CodeInvalidRedirectURI, "redirect_uris has more than %d entries", maxDocumentRedirects)
	}
	d.RedirectURIs = uris
	return nil
}

// checkMethod knows two methods: everything with a shared secret is impossible,
// since nobody shares one. The default of RFC 7591 is such a method, so a document
// that names none means none. One that can do both, as ChatGPT's says with
// token_endpoint_auth_methods_supported, is held to the one it names first.
func (d *ClientDocument) checkMethod() *Error {
	switch d.TokenEndpointAuthMethod {
	case "", AuthNone:
		d.TokenEndpointAuthMethod, d.JWKS, d.JWKSURI = AuthNone, nil, ""
		return nil
	case AuthPrivateKeyJWT:
	default:
		return NewError(CodeInvalidClientMetadata, "token_endpoint_auth_method must be none or private_key_jwt")
	}
	if (d.JWKS == nil) == (d.JWKSURI == "") {
		return NewError(CodeInvalidClientMetadata, "private_key_jwt needs either jwks or jwks_uri")
	}
	if d.SigningAlg != "" && !slices.Contains(AssertionAlgorithms, d.SigningAlg) {
		return NewError(CodeInvalidClientMetadata, "token_endpoint_auth_signing_alg is not supported")
	}
	return checkJWKSURI(d.JWKSURI)
}

func checkJWKSURI(s string) *Error {
	if s == "" {
		return nil
	}
	u, reason := splitURI(s)
	if reason == "" {
		reason = u.httpHost()
	}
	if reason == "" && u.scheme != "https" {
		reason = "must begin with https://"
	}
	if reason != "" {
		return NewError(CodeInvalidClientMetadata, "jwks_uri %s", reason)
	}
	return nil
}

// CheckJWKSURI reports whether keys may be fetched from s: an https URL without
// user, fragment and dot segments.
func CheckJWKSURI(s string) *Error {
	if s == "" {
		return NewError(CodeInvalidClientMetadata, "jwks_uri is missing")
	}
	return checkJWKSURI(s)
}
