// SPDX-License-Identifier: Apache-2.0

package web

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
)

// contentPolicy allows the inline style sheet, by its hash, and nothing else.
//
// There is no form-action on purpose: Chromium applies it to every hop of the
// redirects that follow the form, and those lead to the identity provider and on
// to addresses only the client knows. What keeps the form from being pointed
// elsewhere is that nothing can be injected: no script, no base element.
var contentPolicy = "default-src 'none'; style-src 'sha256-" + hash(style) +
	"'; base-uri 'none'; frame-ancestors 'none'"

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// setHeaders sets the headers every page has, and takes away CORS headers that
// somebody may have set before: a page is for people (OAuth 2.1 §3.1).
//
// Deliberately absent: Cross-Origin-Opener-Policy. Web clients open the
// authorization in a popup and wait for its last page to speak to its opener; any
// value of ours on the way would cut the two apart for good.
func setHeaders(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Frame-Options", "DENY")
	// Not no-referrer: that makes Chromium send "Origin: null" with our own forms.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	for _, name := range []string{
		"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Allow-Headers",
		"Access-Control-Allow-Methods", "Access-Control-Expose-Headers",
	} {
		h.Del(name)
	}
}
