// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// begun is a sign-in that waits for the upstream.
func (w *world) begun(redirect string) (b *browser, clientID, state string) {
	w.t.Helper()
	b, clientID = w.browser(), w.register(redirect)
	return b, clientID, upstreamState(w.t, b.consent(authorizeQuery(clientID, redirect), "approve"))
}

// Login CSRF, and the confused deputy with it: an attacker begins a sign-in,
// approves it in a browser of their own, and makes the victim's browser finish
// it. The victim's account must not end up at the attacker's client, and the
// attempt must not use the sign-in up.
func TestCallbackInAnotherBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	attacker, _, state := w.begun(webURI)
	victim, _, own := w.begun(loopbackURI) // with cookies of a sign-in of their own
	stranger := w.browser()
	for name, b := range map[string]*browser{"with no cookies": stranger, "with those of another sign-in": victim} {
		wantPage(t, b.callback(state), http.StatusForbidden, "foreign_browser")
		if w.up.calls != 0 {
			t.Fatalf("%s: the upstream was asked", name)
		}
	}
	// A tab's cookie is for that tab's sign-in alone.
	swapped := w.browser()
	for name, c := range attacker.cookies {
		if strings.Contains(name, "mcp_state") {
			for _, mine := range victim.cookies {
				swapped.cookies[name] = &http.Cookie{Name: c.Name, Value: mine.Value}
			}
		}
	}
	wantPage(t, swapped.callback(state), http.StatusForbidden, "foreign_browser")
	wantOnce(t, location(t, victim.callback(own)), map[string]string{"code": "*", "state": "client-state"})
	wantOnce(t, location(t, attacker.callback(state)), map[string]string{"code": "*", "state": "client-state"})
}

func TestCallbackIsGoodOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, _, state := w.begun(loopbackURI)
	kept := w.browser() // somebody who copied the cookies
	for name, c := range b.cookies {
		kept.cookies[name] = c
	}
	wantOnce(t, location(t, b.callback(state)), map[string]string{"code": "*", "state": "client-state"})
	wantPage(t, b.callback(state), http.StatusBadRequest, "flow_expired")
	wantPage(t, kept.callback(state), http.StatusBadRequest, "flow_expired")
	if w.up.calls != 1 {
		t.Errorf("the upstream was asked %d times", w.up.calls)
	}
}

// The same callback at the same moment: one code.
func TestParallelCallbacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, _, state := w.begun(loopbackURI)
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes := 0
	for range 32 {
		r := request(http.MethodGet, oauth.PathCallback+"github?code=x&state="+state, "")
		for _, c := range b.cookies {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
		wg.Go(func() {
			if w.do(r).StatusCode == http.StatusSeeOther {
				mu.Lock()
				defer mu.Unlock()
				codes++
			}
		})
	}
	wg.Wait()
	if codes != 1 || w.up.calls != 1 {
		t.Errorf("%d codes, %d calls upstream", codes, w.up.calls)
	}
}

// An answer of one identity provider is not accepted in the name of another
// (RFC 9700 §4.4).
func TestCallbackAtAnotherUpstreamsPath(t *testing.T) {
	t.Parallel()
	evil := &scriptedUpstream{name: "ghe", identity: octocat()}
	w := newWorld(t, withUpstream(evil))
	b := w.browser()
	action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
	state := upstreamState(t, b.approve(action, with(fields, "upstream", "github")))
	wantPage(t, b.get(oauth.PathCallback+"ghe?code=x&state="+state), http.StatusBadRequest, "flow_expired")
	if evil.calls+w.up.calls != 0 {
		t.Error("an upstream was asked")
	}
	wantPage(t, b.get(oauth.PathCallback+"gitlab?code=x&state="+state), http.StatusNotFound, "not_found")
	// It was not used up by that.
	wantOnce(t, location(t, b.callback(state)), map[string]string{"code": "*", "state": "client-state"})
}

// With several ways to sign in and none chosen, nothing is guessed.
func TestConsentNeedsAChoiceOfUpstream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withUpstream(&scriptedUpstream{name: "ghe", identity: octocat()}))
	b := w.browser()
	action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
	if fields.Get("upstream") != "github" {
		t.Errorf("preselected: %q", fields.Get("upstream"))
	}
	fields.Del("upstream")
	wantPage(t, b.approve(action, fields), http.StatusBadRequest, "invalid_request")
}

func TestMalformedCallbacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, _, state := w.begun(loopbackURI)
	for query, reason := range map[string]string{
		"": "invalid_request", "code=x": "invalid_request", "code=x&state=": "invalid_request",
		"code=x&state=" + state + "&state=" + state: "invalid_request",
		"code=x&state=" + state + "&x=%zz":          "invalid_request",
		"code=x&state=" + state + ";x=y":            "invalid_request",
		"code=%00&state=" + state:                   "invalid_request",
		"code=x&state=unknown":                      "flow_expired",
		"code=x&state=" + flip(state):               "flow_expired",
	} {
		wantPage(t, b.get(oauth.PathCallback+"github?"+query), http.StatusBadRequest, reason)
	}
	for _, method := range []string{http.MethodPost, http.MethodHead, http.MethodOptions} {
		resp := b.send(request(method, oauth.PathCallback+"github?code=x&state="+state, ""))
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET" {
			t.Errorf("%s: %d, Allow %q", method, resp.StatusCode, resp.Header.Get("Allow"))
		}
	}
	if w.up.calls != 0 {
		t.Error("the upstream was asked")
	}
	wantOnce(t, location(t, b.callback(state)), map[string]string{"code": "*", "state": "client-state"})
}

// What an upstream may answer instead of an identity: the status and reason of
// the page, and the error the client gets. The user's own refusal is the one that
// goes straight back.
func TestUpstreamRefusals(t *testing.T) {
	t.Parallel()
	for reason, want := range map[upstream.Reason]struct {
		status int
		code   string
	}{
		upstream.ReasonDenied:            {http.StatusSeeOther, "access_denied"},
		upstream.ReasonInvalid:           {http.StatusBadRequest, "access_denied"},
		upstream.ReasonInsufficientScope: {http.StatusForbidden, "access_denied"},
		upstream.ReasonMisconfigured:     {http.StatusBadGateway, "server_error"},
		upstream.ReasonUnavailable:       {http.StatusServiceUnavailable, "temporarily_unavailable"},
		"":                               {http.StatusServiceUnavailable, "temporarily_unavailable"}, // an error of no kind
	} {
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			for _, uri := range []string{loopbackURI, webURI, privateURI} {
				w := newWorld(t)
				rec := w.observed()
				b, _, state := w.begun(uri)
				w.up.err = errors.New("boom, with a secret-detail")
				if reason != "" {
					w.up.err = upstream.Refuse(reason, "with a secret-detail")
				}
				resp := b.callback(state)
				if want.status == http.StatusSeeOther {
					wantOnce(t, location(t, resp), map[string]string{"error": want.code, "error_description": "*", "state": "client-state"})
				} else {
					shown := "upstream_" + string(reason)
					if reason == "" {
						shown = "upstream_unavailable"
					}
					text := wantPage(t, resp, want.status, shown)
					if strings.Contains(text, "secret-detail") {
						t.Error("the page tells the cause, which is for the log")
					}
					back := backLink(t, text)
					if got := back.Scheme + "://" + back.Host + back.Path; got != uri {
						t.Errorf("link to %s", got)
					}
					wantOnce(t, back, map[string]string{"error": want.code, "error_description": "*", "state": "client-state"})
				}
				if rec.count("CreateGrant")+rec.count("SaveAccount") != 0 {
					t.Error("a refused sign-in left something behind")
				}
				w.up.err = nil
				wantPage(t, b.callback(state), http.StatusBadRequest, "flow_expired")
			}
		})
	}
}

// The list is the operator's: whoever is not on it gets a page, no code, and
// nothing is stored of them. Their client is told by a link.
func TestNotAllowedUserGetsNoCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := w.observed()
	for _, uri := range []string{loopbackURI, webURI, privateURI} {
		b, _, state := w.begun(uri)
		w.up.identity = identity.Identity{Upstream: "github", Kind: identity.KindGitHub, ID: "666", Login: "mallory"}
		back := backLink(t, wantPage(t, b.callback(state), http.StatusForbidden, "not_allowed"))
		wantOnce(t, back, map[string]string{"error": "access_denied", "error_description": "*", "state": "client-state"})
	}
	// A login that looks like the allowed one is not it.
	for _, login := range []string{"octocat ", "0ctocat", "octocat\u200b", ""} {
		b, _, state := w.begun(loopbackURI)
		w.up.identity = identity.Identity{Upstream: "github", Kind: identity.KindGitHub, ID: "667", Login: login}
		wantPage(t, b.callback(state), http.StatusForbidden, "not_allowed")
	}
	if rec.count("CreateGrant")+rec.count("SaveAccount") != 0 {
		t.Errorf("stored: %s", rec.atRest())
	}
}

func TestSignInExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, _, state := w.begun(loopbackURI)
	w.clock.Advance(10*time.Minute - time.Second)
	wantOnce(t, location(t, b.callback(state)), map[string]string{"code": "*", "state": "client-state"})
	b, _, state = w.begun(loopbackURI)
	w.clock.Advance(10 * time.Minute)
	wantPage(t, b.callback(state), http.StatusBadRequest, "flow_expired")
	// Also for a clock that was set back: the end is a time, not an age.
	b, _, state = w.begun(loopbackURI)
	w.clock.Advance(-5 * time.Minute)
	wantOnce(t, location(t, b.callback(state)), map[string]string{"code": "*", "state": "client-state"})
}

// Between approval and callback the operator changed things.
func TestCallbackAfterTheWorldChanged(t *testing.T) {
	t.Parallel()
	t.Run("resource removed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, twoResources(t))
		b := w.browser()
		q := authorizeQuery(w.register(loopbackURI), loopbackURI, "resource", issuer+"/ops")
		state := upstreamState(t, b.consent(q, "approve"))
		w.config.Resources = w.config.Resources[:1]
		w.reload()
		wantPage(t, b.callback(state), http.StatusBadRequest, "flow_expired")
	})
	t.Run("client deleted", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		rec := w.observed()
		b, _, state := w.begun(loopbackURI)
		w.store.failOn("KeepClient", storage.ErrNotFound)
		wantPage(t, b.callback(state), http.StatusBadRequest, "unknown_client")
		if rec.count("CreateGrant") != 0 {
			t.Error("a grant was made for nobody")
		}
	})
	t.Run("upstream removed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		b, _, state := w.begun(loopbackURI)
		w.config.Upstreams = []upstream.Upstream{&scriptedUpstream{name: "ghe", identity: octocat()}}
		w.reload()
		wantPage(t, b.callback(state), http.StatusNotFound, "not_found")
	})
	t.Run("no longer allowed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		b, _, state := w.begun(loopbackURI)
		w.config.Resources[0].Policy = rules(t, "user:somebody-else")
		w.reload()
		wantPage(t, b.callback(state), http.StatusForbidden, "not_allowed")
	})
	t.Run("key removed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		b, _, state := w.begun(loopbackURI)
		w.state.SetRing(token.NewRing(token.Key{9}))
		wantPage(t, b.callback(state), http.StatusBadRequest, "flow_expired")
		if w.up.calls != 0 {
			t.Error("the upstream was asked without the PKCE verifier")
		}
	})
	t.Run("reloaded as it was", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		b, _, state := w.begun(loopbackURI)
		w.reload()
		wantOnce(t, location(t, b.callback(state)), map[string]string{"code": "*", "state": "client-state"})
	})
}

// The account is what GitHub says now; a login that moved on to somebody else
// does not bring the other's number along.
func TestSubjectIsTheNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var seen string
	w.backend = func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Get("X-Forwarded-User") }
	_, first := w.tokens()
	w.up.identity.ID = "999" // another person took the login
	_, second := w.tokens()
	w.wantCall("/mcp", first.AccessToken, http.StatusOK)
	if seen != "github:583231" {
		t.Errorf("first person is %s", seen)
	}
	w.wantCall("/mcp", second.AccessToken, http.StatusOK)
	if seen != "github:999" {
		t.Errorf("second person is %s", seen)
	}
}
