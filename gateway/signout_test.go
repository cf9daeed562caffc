// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const pathSignOut = "/signout"

// openSignOut opens the page and returns its form.
func (b *browser) openSignOut() (action string, fields url.Values) {
	b.w.t.Helper()
	return form(b.w.t, wantPage(b.w.t, b.get(pathSignOut), http.StatusOK, ""))
}

// signOut presses its button.
func (b *browser) signOut() {
	b.w.t.Helper()
	if loc := location(b.w.t, b.submit(b.openSignOut())); loc.String() != issuer+pathSignOut {
		b.w.t.Errorf("sent to %s", loc)
	}
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, tok := w.tokens()
	b := w.signedIn()
	stolen := b.cookies[sessionCookie]
	q := authorizeQuery(w.register(webURI), webURI)
	b.remembers(q)

	for range 3 { // looking does nothing, not even for a prefetch
		text := wantPage(t, b.get(pathSignOut), http.StatusOK, "")
		for _, want := range []string{"octocat", "GitHub", "mcp.<wbr>example.<wbr>com"} {
			if !strings.Contains(text, want) {
				t.Errorf("the page lacks %q:\n%s", want, text)
			}
		}
		if resp := b.send(request(http.MethodHead, pathSignOut, "")); resp.StatusCode != http.StatusOK || len(resp.Cookies()) != 0 {
			t.Errorf("HEAD: %d %v", resp.StatusCode, resp.Cookies())
		}
	}
	wantAsked(t, b.fromClient(q, "Referer", ""), "octocat")

	resp := b.submit(b.openSignOut())
	location(t, resp)
	if got := resp.Header.Values("Set-Cookie"); len(got) != 1 ||
		got[0] != sessionCookie+"=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax" {
		t.Errorf("cookies %q", got)
	}
	text := wantPage(t, b.get(pathSignOut), http.StatusOK, "")
	if !strings.Contains(text, "You are not signed in") || strings.Contains(text, "<form") || strings.Contains(text, "octocat") {
		t.Errorf("after signing out:\n%s", text)
	}
	wantAsked(t, b.fromClient(q), "")
	// Who copied the cookie before is out as well.
	b.cookies[sessionCookie] = stolen
	wantAsked(t, b.fromClient(q), "")
	b.submit(pathSignOut, url.Values{"csrf": {"x"}})
	// What is connected stays connected.
	w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
}

// After signing out, nothing agreed to before counts, in no browser: whoever signs
// in next is asked.
func TestSignOutForgetsConsents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, anybody(t))
	first, second := w.signedIn(), w.signedIn()
	q := authorizeQuery(w.register(webURI), webURI)
	first.remembers(q)
	wantCode(t, second.fromClient(q))
	w.up.identity = hubot()
	other := w.signedIn()
	other.remembers(q)
	wantCode(t, first.fromClient(q))

	first.signOut()
	wantAsked(t, second.fromClient(q), "octocat") // still signed in, but asked
	wantCode(t, other.fromClient(q))              // nobody else's business
	w.up.identity = octocat()
	again := w.signedIn()
	wantAsked(t, again.fromClient(q), "octocat")
}

// Another site signs the victim out, so that they sign in again where the attacker
// wants them to. The session survives every attempt.
func TestSignOutForgery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	victim, other := w.signedIn(), w.signedIn()
	_, otherForm := other.openSignOut()
	_, consentForm := victim.open(authorizeQuery(w.register(webURI), webURI))
	const same = "same-origin"
	for name, tt := range map[string]struct {
		csrf         string
		site, origin string
		contentType  string
		status       int
	}{
		"no csrf":         {"", same, issuer, formEncoded, 403},
		"wrong csrf":      {strings.Repeat("A", 43), same, issuer, formEncoded, 403},
		"of another":      {otherForm.Get("csrf"), same, issuer, formEncoded, 403},
		"of the consent":  {consentForm.Get("csrf"), same, issuer, formEncoded, 403},
		"cross-site":      {"own", "cross-site", "https://evil.example", formEncoded, 403},
		"sibling":         {"own", "same-site", "https://evil.example.com", formEncoded, 403},
		"null origin":     {"own", "", "null", formEncoded, 403},
		"foreign origin":  {"own", "", "https://evil.example", formEncoded, 403},
		"JSON":            {"own", same, issuer, "application/json", 400},
		"text":            {"own", same, issuer, "text/plain", 400},
		"no content type": {"own", same, issuer, "", 400},
	} {
		t.Run(name, func(t *testing.T) {
			_, fields := victim.openSignOut()
			if tt.csrf != "own" {
				fields = with(fields, "csrf", tt.csrf)
			}
			r := request(http.MethodPost, pathSignOut, fields.Encode())
			for n, v := range map[string]string{"Sec-Fetch-Site": tt.site, "Origin": tt.origin, "Content-Type": tt.contentType} {
				if v != "" {
					r.Header.Set(n, v)
				}
			}
			resp := victim.send(r)
			wantPage(t, resp, tt.status, "")
			if len(resp.Cookies()) != 0 || victim.cookies[sessionCookie] == nil {
				t.Errorf("cookies %q", resp.Header.Values("Set-Cookie"))
			}
			if text := body(t, victim.get(pathSignOut)); !strings.Contains(text, "octocat") {
				t.Errorf("signed out:\n%s", text)
			}
		})
	}
	_, fields := victim.openSignOut()
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodOptions} {
		resp := victim.send(request(method, pathSignOut+"?"+fields.Encode(), "", "Sec-Fetch-Site", same))
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", method, resp.StatusCode, resp.Header)
		}
	}
	victim.get(pathSignOut + "?" + fields.Encode())
	victim.signOut()
	other.signOut()
}

// The form of one issuer is none at another, although the cookie would be there on
// an http loopback issuer of the same port.
func TestSignOutAtAnotherIssuer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn()
	action, fields := b.openSignOut()
	home, kept := w.server, b.cookies[sessionCookie]
	w.config.Issuer = "https://other.example.com"
	w.reload()
	resp := b.send(request(http.MethodPost, action, fields.Encode(), "Content-Type", formEncoded,
		"Origin", w.config.Issuer, "Sec-Fetch-Site", "same-origin"))
	location(t, resp) // there is nothing to end there, and nothing was ended
	w.server = home
	b.cookies[sessionCookie] = kept
	if text := body(t, b.get(pathSignOut)); !strings.Contains(text, "octocat") {
		t.Errorf("signed out:\n%s", text)
	}
}

// Twice, without a session, with one that is over: the button always ends at the
// page that says that nobody is signed in.
func TestSignOutTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn()
	action, fields := b.openSignOut()
	other := w.browser()
	other.cookies[sessionCookie] = b.cookies[sessionCookie]
	for _, who := range []*browser{b, b, other} {
		location(t, who.submit(action, fields))
		if text := wantPage(t, who.get(pathSignOut), http.StatusOK, ""); !strings.Contains(text, "You are not signed in") {
			t.Errorf("not signed out:\n%s", text)
		}
		if who.cookies[sessionCookie] != nil {
			t.Error("the cookie is still there")
		}
	}
}

// A sign-out that failed was none, says so, and can be tried again.
func TestSignOutWhileTheStoreFails(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"Session", "DeleteConsents", "DeleteSession"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.signedIn()
			q := authorizeQuery(w.register(webURI), webURI)
			b.remembers(q)
			action, fields := b.openSignOut()
			w.store.failOn(verb, errDisk)
			wantPage(t, b.submit(action, fields), http.StatusServiceUnavailable, "store_unavailable")
			if b.cookies[sessionCookie] == nil {
				t.Fatal("the cookie is gone, and with it the way to try again")
			}
			w.store.failOn(verb, nil)
			location(t, b.submit(action, fields))
			wantAsked(t, w.signedIn().fromClient(q), "octocat")
		})
	}
}

// A session that signs nobody in any more can still be ended.
func TestSignOutAfterTheUpstreamWasRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := w.observed()
	b := w.signedIn()
	w.config.Upstreams = []upstream.Upstream{&scriptedUpstream{name: "ghe", identity: octocat()}}
	w.reload()
	b.signOut()
	if rec.count("DeleteSession") != 1 || rec.count("DeleteConsents") != 1 {
		t.Error("nothing was deleted")
	}
}

// With the key of the form gone from the ring, the form is not ours; a new one is.
func TestSignOutAcrossAKeyChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn()
	action, fields := b.openSignOut()
	w.state.SetRing(token.NewRing(token.Key{9}))
	wantPage(t, b.submit(action, fields), http.StatusForbidden, "cross_site")
	b.signOut()
}
