// SPDX-License-Identifier: Apache-2.0

package oauth

const (
	maxClientIDBytes = maxURIBytes // a client_id may be a URL
	maxStateBytes    = 4096
)

// AuthorizationRequest is a checked authorization request (RFC 6749 §4.1.1,
// RFC 7636 §4.3, RFC 8707 §2).
type AuthorizationRequest struct {
	// ClientID and RedirectURI are as sent; RedirectURI is empty where the
	// request left it out. See [ParseClientParams].
	ClientID    string
	RedirectURI string

	ResponseType string // always "code"
	// State is given back unchanged in every response. Empty if none was sent.
	State string
	// Scope is normalised: each token once, single spaces.
	Scope               string
	CodeChallenge       string
	CodeChallengeMethod string // always "S256"
	// Prompt is as sent; "consent" is the value clients send.
	Prompt string
	// Resources are canonical, each once. More than one means the client wants
	// a token for several resources.
	Resources []string
}

// ParseClientParams reads the two parameters everything else depends on (R5.2).
// Until both are known to belong to a registered client, an error is a page and
// never a redirect. redirectURI is empty if the request has none.
func ParseClientParams(p Params) (clientID, redirectURI string, err *Error) {
	if clientID, err = p.Get("client_id"); err != nil {
		return "", "", err
	}
	switch {
	case clientID == "":
		return "", "", NewError(CodeInvalidRequest, "client_id is missing")
	case len(clientID) > maxClientIDBytes || !visible(clientID):
		return "", "", NewError(CodeInvalidRequest, "client_id is malformed")
	}
	if redirectURI, err = p.Get("redirect_uri"); err != nil {
		return "", "", err
	}
	if len(redirectURI) > maxURIBytes {
		return "", "", NewError(CodeInvalidRequest, "redirect_uri is longer than %d bytes", maxURIBytes)
	}
	return clientID, redirectURI, nil
}

// ParseAuthorizationRequest checks the rest of the request in the order of
// R5.2: state, response_type, PKCE, resource, scope.
//
// On error the request is not nil as long as client_id, redirect_uri and state
// could be read: it carries just these, so that the error can be redirected
// with the state the client is owed.
func ParseAuthorizationRequest(p Params) (*AuthorizationRequest, *Error) {
	clientID, redirectURI, err := ParseClientParams(p)
	if err != nil {
		return nil, err
	}
	known := AuthorizationRequest{ClientID: clientID, RedirectURI: redirectURI}
	state, err := p.Get("state")
	if err == nil && len(state) > maxStateBytes {
		err = NewError(CodeInvalidRequest, "state is longer than %d bytes", maxStateBytes)
	}
	if err != nil {
		return &known, err
	}
	known.State = state

	request := known
	for _, parse := range []func(Params) *Error{
		request.parseResponseType, request.parsePKCE, request.parseResources, request.parseScope,
	} {
		if err := parse(p); err != nil {
			return &known, err
		}
	}
	return &request, nil
}

func (r *AuthorizationRequest) parseResponseType(p Params) (err *Error) {
	if r.ResponseType, err = p.Get("response_type"); err != nil {
		return err
	}
	switch r.ResponseType {
	case "code":
		return nil
	case "":
		return NewError(CodeInvalidRequest, "response_type is missing")
	}
	return NewError(CodeUnsupportedResponseType, "response_type must be code")
}

// parsePKCE demands S256 of every client (R5.3). A missing method means plain
// (RFC 7636 §4.3), which is refused like any other.
func (r *AuthorizationRequest) parsePKCE(p Params) (err *Error) {
	if r.CodeChallenge, err = p.Get("code_challenge"); err != nil {
		return err
	}
	if r.CodeChallengeMethod, err = p.Get("code_challenge_method"); err != nil {
		return err
	}
	switch {
	case r.CodeChallenge == "":
		return NewError(CodeInvalidRequest, "code_challenge is missing: PKCE is required")
	case r.CodeChallengeMethod != MethodS256:
		return NewError(CodeInvalidRequest, "code_challenge_method must be S256")
	case !ValidChallenge(r.CodeChallenge):
		return NewError(CodeInvalidRequest, "code_challenge is malformed")
	}
	return nil
}

func (r *AuthorizationRequest) parseResources(p Params) (err *Error) {
	r.Resources, err = parseResources(p)
	return err
}

func (r *AuthorizationRequest) parseScope(p Params) *Error {
	scope, err := p.Get("scope")
	if err != nil {
		return err
	}
	scopes, err := ParseScope(scope)
	if err != nil {
		return err
	}
	r.Scope = FormatScope(scopes)
	r.Prompt, err = p.Get("prompt")
	return err
}
