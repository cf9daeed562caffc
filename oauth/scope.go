// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"slices"
	"strings"
)

// ScopeOfflineAccess asks for a refresh token. It belongs to the authorization
// server, not to any resource: it is listed in its metadata only (R2.7, R3.9).
const ScopeOfflineAccess = "offline_access"

const (
	maxScopeBytes  = 4 << 10
	maxScopeTokens = 100
)

// ParseScope reads a space-separated scope (RFC 6749 §3.3): each token once, in
// the order written. The empty string is no scope, nil. A character outside
// %x21 / %x23-5B / %x5D-7E, more than 100 tokens or 4 KiB is invalid_scope.
// Repeated spaces are forgiven: clients join lists that hold empty strings.
func ParseScope(s string) ([]string, *Error) {
	if len(s) > maxScopeBytes {
		return nil, NewError(CodeInvalidScope, "scope is longer than %d bytes", maxScopeBytes)
	}
	var scopes []string
	for token := range strings.SplitSeq(s, " ") {
		switch {
		case token == "" || slices.Contains(scopes, token):
			continue
		case !ValidScopeToken(token):
			return nil, NewError(CodeInvalidScope, "scope contains a character that is not allowed")
		case len(scopes) == maxScopeTokens:
			return nil, NewError(CodeInvalidScope, "scope has more than %d tokens", maxScopeTokens)
		}
		scopes = append(scopes, token)
	}
	return scopes, nil
}

// ValidScopeToken reports whether s is one scope-token of RFC 6749 §3.3.
func ValidScopeToken(s string) bool {
	if s == "" {
		return false
	}
	for _, c := range []byte(s) {
		if c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// FormatScope is the wire form of scopes.
func FormatScope(scopes []string) string { return strings.Join(scopes, " ") }

// GrantScopes returns what a request for requested gets where offered is on
// offer: the offered scopes it names, in the order of offered, and those of
// further, which are granted to who asks for them by name. Scopes nobody offers are
// dropped, not refused, because clients ask for the union of everything they ever
// saw (R5.11); if that leaves nothing, the request gets all that is offered.
// offline_access is kept at the end when it was requested.
func GrantScopes(requested, offered []string, further ...string) []string {
	var granted []string
	for _, s := range slices.Concat(offered, further) {
		if s != ScopeOfflineAccess && slices.Contains(requested, s) && !slices.Contains(granted, s) {
			granted = append(granted, s)
		}
	}
	if len(granted) == 0 {
		granted = slices.DeleteFunc(slices.Clone(offered), func(s string) bool { return s == ScopeOfflineAccess })
	}
	if slices.Contains(requested, ScopeOfflineAccess) {
		granted = append(granted, ScopeOfflineAccess)
	}
	return granted
}
