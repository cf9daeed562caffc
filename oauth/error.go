// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Error codes a client may be sent, by the document that defines them.
const (
	// RFC 6749 §4.1.2.1 and §5.2.
	CodeInvalidRequest          = "invalid_request"
	CodeInvalidClient           = "invalid_client"
	CodeInvalidGrant            = "invalid_grant"
	CodeUnauthorizedClient      = "unauthorized_client"
	CodeUnsupportedGrantType    = "unsupported_grant_type"
	CodeInvalidScope            = "invalid_scope"
	CodeAccessDenied            = "access_denied"
	CodeUnsupportedResponseType = "unsupported_response_type"
	CodeServerError             = "server_error"
	CodeTemporarilyUnavailable  = "temporarily_unavailable"

	// RFC 6750 §3.1.
	CodeInvalidToken      = "invalid_token"
	CodeInsufficientScope = "insufficient_scope"

	// RFC 7009 §2.2.1.
	CodeUnsupportedTokenType = "unsupported_token_type"

	// RFC 7591 §3.2.2.
	CodeInvalidRedirectURI       = "invalid_redirect_uri"
	CodeInvalidClientMetadata    = "invalid_client_metadata"
	CodeInvalidSoftwareStatement = "invalid_software_statement"

	// RFC 8707 §2.
	CodeInvalidTarget = "invalid_target"
)

// maxDescription bounds error_description: it travels in headers and in the
// query of a redirect.
const maxDescription = 300

// Error is an OAuth error as the client is told it (RFC 6749 §5.2, RFC 7591
// §3.2.2). It marshals to the JSON body of both.
type Error struct {
	// Code is one of the Code constants.
	Code string
	// Description is for the developer of the client: ASCII without `"` and `\`,
	// at most 300 bytes. It never contains what the client sent.
	Description string
	// Status is the HTTP status of a direct answer; 0 means 400.
	Status int
}

// statuses are the codes whose status is not 400.
var statuses = map[string]int{
	CodeInvalidClient:          http.StatusUnauthorized,
	CodeInvalidToken:           http.StatusUnauthorized,
	CodeInsufficientScope:      http.StatusForbidden,
	CodeAccessDenied:           http.StatusForbidden,
	CodeServerError:            http.StatusInternalServerError,
	CodeTemporarilyUnavailable: http.StatusServiceUnavailable,
}

// NewError returns an error with the status its code asks for. The description
// is formatted, then made safe: what RFC 6749 §5.2 does not allow becomes "?",
// quotes become apostrophes.
func NewError(code, format string, args ...any) *Error {
	return &Error{
		Code:        code,
		Description: safeDescription(fmt.Sprintf(format, args...)),
		Status:      statuses[code],
	}
}

// Error returns code and description, for logs.
func (e *Error) Error() string {
	if e.Description == "" {
		return e.Code
	}
	return e.Code + ": " + e.Description
}

// HTTPStatus is Status, or 400 where none is set.
func (e *Error) HTTPStatus() int {
	if e.Status == 0 {
		return http.StatusBadRequest
	}
	return e.Status
}

// MarshalJSON writes the body of RFC 6749 §5.2. It makes the description safe
// again, for an Error that did not come from [NewError].
func (e *Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Code        string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, safeDescription(e.Description)})
}

// safeDescription maps s into the characters of RFC 6749 §5.2,
// %x20-21 / %x23-5B / %x5D-7E, and bounds it.
func safeDescription(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < 0x20 || r > 0x7e || r == '\\':
			return '?'
		}
		return r
	}, s)
	if len(s) > maxDescription {
		s = s[:maxDescription]
	}
	return s
}
