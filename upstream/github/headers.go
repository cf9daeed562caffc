// SPDX-License-Identifier: Apache-2.0

package github

import (
	"net/http"
	"slices"
)

// headers are those of an answer that mean something beside its body.
type headers struct {
	// link is where the other pages are.
	link []string
	// scopes are the token's as GitHub lists them. Nil means that it did not.
	scopes []string
	// sso is X-GitHub-SSO.
	sso string
}

func headersOf(h http.Header) headers {
	return headers{
		link:   slices.Clone(h.Values("Link")),
		scopes: slices.Clone(h.Values("X-OAuth-Scopes")),
		sso:    h.Get("X-GitHub-SSO"),
	}
}

// updated is after a 304, which says again only what it wants to (RFC 9110
// §15.4.5, RFC 9111 §3.2).
func (h headers) updated(answer http.Header) headers {
	now := headersOf(answer)
	if now.link == nil {
		now.link = h.link
	}
	if now.scopes == nil {
		now.scopes = h.scopes
	}
	if now.sso == "" {
		now.sso = h.sso
	}
	return now
}
