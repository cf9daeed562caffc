// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"fmt"
	"net/http"
	"strings"
)

// maxTokenBytes bounds a presented access token.
const maxTokenBytes = 8 << 10

// Challenge is the value of a WWW-Authenticate header (RFC 6750 §3, RFC 9728
// §5.1). Empty members are left out; without Error it is the bare challenge for
// a request that brought no credentials (R8.5).
type Challenge struct {
	// ResourceMetadata is the URL of the protected resource metadata.
	ResourceMetadata string
	// Scope is what a token needs for this request, space-separated.
	Scope string
	// Error is CodeInvalidToken, CodeInsufficientScope or CodeInvalidRequest.
	Error       string
	Description string
}

// String returns the header value. It starts with "Bearer ", every value is a
// quoted-string without quotes or backslashes inside, and the description comes
// last and without "=": clients search the header for `scope=` and the like
// with regular expressions and take the first hit (R8.6).
func (c Challenge) String() string {
	var params []string
	add := func(name, value string) {
		if value != "" {
			params = append(params, name+`="`+value+`"`)
		}
	}
	add("resource_metadata", quotableURL(c.ResourceMetadata))
	add("scope", quotableScope(c.Scope))
	add("error", safeDescription(c.Error))
	add("error_description", strings.ReplaceAll(safeDescription(c.Description), "=", ":"))
	return "Bearer " + strings.Join(params, ", ")
}

// quotableURL escapes what may not stand in a quoted-string. None of it may
// stand in a URL either.
func quotableURL(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// quotableScope leaves out what is not a scope token.
func quotableScope(s string) string {
	var scopes []string
	for token := range strings.SplitSeq(s, " ") {
		if ValidScopeToken(token) {
			scopes = append(scopes, token)
		}
	}
	return FormatScope(scopes)
}

// ParseBearer returns the access token of a request (RFC 6750 §2.1). ok is false
// where there is none: no Authorization header, another scheme, or "Bearer"
// with nothing after it, as clients with an unset variable send. Two headers or
// something that cannot be a token are invalid_request.
func ParseBearer(h http.Header) (token string, ok bool, err *Error) {
	token, ok, err = CutBearer(h)
	if ok && err == nil {
		err = CheckBearer(token)
	}
	if err != nil {
		return "", false, err
	}
	return token, ok, nil
}

// CutBearer is ParseBearer without CheckBearer, for who knows good tokens by their
// hash and need not look at each character of them. What it returns is not longer than
// a token may be.
func CutBearer(h http.Header) (token string, ok bool, err *Error) {
	values := h["Authorization"]
	switch {
	case len(values) == 0:
		return "", false, nil
	case len(values) > 1:
		return "", false, NewError(CodeInvalidRequest, "the Authorization header is repeated")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false, nil
	}
	// RFC 9110 §11.4 allows more than one space.
	token = strings.Trim(token, " ")
	if len(token) > maxTokenBytes {
		return "", false, errMalformedToken()
	}
	return token, token != "", nil
}

// CheckBearer refuses what cannot be a token (RFC 6750 §2.1).
func CheckBearer(token string) *Error {
	if !b64token(token) {
		return errMalformedToken()
	}
	return nil
}

func errMalformedToken() *Error {
	return NewError(CodeInvalidRequest, "the access token is malformed")
}

// b64token is RFC 6750 §2.1: the base64 alphabets, padding only at the end.
func b64token(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		if !tokenChars[s[i]] {
			return false
		}
	}
	return s != ""
}

// tokenChars is looked up once for each character of each request's token.
var tokenChars = func() (table [256]bool) {
	for c := range table {
		b := byte(c)
		table[c] = unreserved(b) || b == '+' || b == '/'
	}
	return table
}()
