// SPDX-License-Identifier: Apache-2.0

package oauth

// Grant types of RFC 6749 that the token endpoint knows.
const (
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
)

// TokenRequest is a checked token request (RFC 6749 §4.1.3 and §6, RFC 7636
// §4.5, RFC 8707 §2.2). Who sends it is the business of
// [ParseClientCredentials].
type TokenRequest struct {
	GrantType string

	// Code and CodeVerifier are set for authorization_code. RedirectURI is as
	// sent, empty if the client left it out (R7.4).
	Code         string
	RedirectURI  string
	CodeVerifier string

	// RefreshToken is set for refresh_token. Scope is normalised.
	RefreshToken string
	Scope        string

	// Resources are canonical, each once; empty if the client sent none.
	Resources []string
}

// ParseTokenRequest reads the form of a token request. An unknown grant type is
// unsupported_grant_type, a missing member invalid_request.
func ParseTokenRequest(p Params) (*TokenRequest, *Error) {
	var r TokenRequest
	err := p.getAll(map[string]*string{
		"grant_type": &r.GrantType, "code": &r.Code, "redirect_uri": &r.RedirectURI,
		"code_verifier": &r.CodeVerifier, "refresh_token": &r.RefreshToken, "scope": &r.Scope,
	}, "grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope")
	if err != nil {
		return nil, err
	}
	if err := r.checkGrant(); err != nil {
		return nil, err
	}
	scopes, err := ParseScope(r.Scope)
	if err != nil {
		return nil, err
	}
	r.Scope = FormatScope(scopes)
	if r.Resources, err = parseResources(p); err != nil {
		return nil, err
	}
	return &r, nil
}

// checkGrant demands what the grant needs and forgets what belongs to another.
func (r *TokenRequest) checkGrant() *Error {
	switch r.GrantType {
	case "":
		return NewError(CodeInvalidRequest, "grant_type is missing")
	case GrantAuthorizationCode:
		r.RefreshToken = ""
		return r.checkCode()
	case GrantRefreshToken:
		r.Code, r.RedirectURI, r.CodeVerifier = "", "", ""
		if r.RefreshToken == "" {
			return NewError(CodeInvalidRequest, "refresh_token is missing")
		}
		return nil
	}
	return NewError(CodeUnsupportedGrantType, "grant_type must be authorization_code or refresh_token")
}

func (r *TokenRequest) checkCode() *Error {
	switch {
	case r.Code == "":
		return NewError(CodeInvalidRequest, "code is missing")
	case r.CodeVerifier == "":
		return NewError(CodeInvalidRequest, "code_verifier is missing")
	case !ValidVerifier(r.CodeVerifier):
		// RFC 7636 §4.6: a verifier that does not match is invalid_grant, and
		// this one cannot match.
		return NewError(CodeInvalidGrant, "code_verifier is malformed")
	}
	return nil
}
