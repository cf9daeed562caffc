// SPDX-License-Identifier: Apache-2.0

package oauth

// ParseTokenParam returns the token that a revocation (RFC 7009 §2.1) or an
// introspection request (RFC 7662 §2.1) is about. Without one the request is
// invalid_request.
//
// token_type_hint is read, so that a second one is the error it is, and then
// forgotten: our tokens say themselves what they are, and a hint that is wrong or
// unknown must change nothing.
func ParseTokenParam(p Params) (string, *Error) {
	var token, hint string
	err := p.getAll(map[string]*string{"token": &token, "token_type_hint": &hint}, "token", "token_type_hint")
	switch {
	case err != nil:
		return "", err
	case token == "":
		return "", NewError(CodeInvalidRequest, "token is missing")
	}
	return token, nil
}
