// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
)

// prompt=none: an answer without a page, where the answer may go at all.
func TestPromptNone(t *testing.T) {
	t.Parallel()
	w, b, q := remembering(t)
	q.Set("prompt", "none")
	wantCode(t, b.fromClient(q))
	loopback := authorizeQuery(w.register(loopbackURI), loopbackURI, "prompt", "none")
	for name, tt := range map[string]struct {
		resp *http.Response
		code string
		page bool
	}{
		"not signed in":            {w.browser().fromClient(q), "login_required", true},
		"not agreed":               {b.fromClient(with(q, "client_id", w.register(webURI))), "consent_required", true},
		"in a frame":               {b.fromClient(q, "Sec-Fetch-Dest", "iframe"), "consent_required", true},
		"from elsewhere":           {b.fromClient(q, "Referer", "https://evil.example/"), "consent_required", true},
		"with another prompt":      {b.fromClient(with(q, "prompt", "none login")), "invalid_request", true},
		"with an unknown prompt":   {b.fromClient(with(q, "prompt", "none x")), "invalid_request", true},
		"to a program":             {b.fromClient(loopback), "interaction_required", false},
		"to a program, signed out": {w.browser().fromClient(loopback), "interaction_required", false},
	} {
		loc := (*url.URL)(nil)
		if tt.page { // no redirect to where nobody approved one (R5.8)
			loc = backLink(t, wantPage(t, tt.resp, http.StatusBadRequest, tt.code))
		} else {
			loc = location(t, tt.resp)
		}
		wantOnce(t, loc, map[string]string{"error": tt.code, "error_description": "*", "state": "client-state"})
		if t.Failed() {
			t.Fatalf("%s", name)
		}
	}
}

// prompt=login is more than prompt=consent: the person signs in anew.
func TestPromptLogin(t *testing.T) {
	t.Parallel()
	_, b, q := remembering(t)
	before := b.cookies[sessionCookie].Value
	q.Set("prompt", "login")
	action, fields := wantAsked(t, b.fromClient(q), "")
	// Not even by a form that asks to stay signed in.
	wantUpstream(t, b.approve(action, with(fields, "upstream", web.StaySignedIn)), true)
	wantCode(t, b.callback(wantUpstream(t, b.approve(action, fields), true)))
	if b.cookies[sessionCookie].Value == before {
		t.Error("the session is the one from before")
	}
}
