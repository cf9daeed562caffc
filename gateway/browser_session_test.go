// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream/local"
)

func bcryptOf(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 10)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// Who signed in for one client is asked, but not sent upstream, for the next one.
func TestSecondClientNeedsNoUpstream(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{loopbackURI, webURI, privateURI} {
		t.Run(uri, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.signedIn()
			rec := w.observed()
			id := w.register(uri)
			action, fields := wantAsked(t, b.fromClient(authorizeQuery(id, uri)), "octocat")
			code := wantCode(t, b.approve(action, fields))
			if w.up.calls != 1 || rec.count("CreatePending") != 0 {
				t.Errorf("%d calls upstream, %d sign-ins begun", w.up.calls, rec.count("CreatePending"))
			}
			if rec.count("SaveAccount") != 0 {
				t.Error("the account was saved as if it had been checked anew")
			}
			tok := w.redeem(with(codeForm(id, code), "redirect_uri", uri))
			w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
		})
	}
}

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{issuer, "http://localhost:8080"} {
		w := newWorld(t, func(c *gateway.Config) { c.Issuer = origin })
		q := authorizeQuery(w.register(loopbackURI), loopbackURI, "resource", origin+"/mcp")
		b := w.browser()
		action, fields := form(t, body(t, b.send(at(origin, http.MethodGet, oauth.PathAuthorize+"?"+q.Encode(), nil))))
		state := upstreamState(t, b.send(at(origin, http.MethodPost, action, with(fields, "decision", "approve"))))
		resp := b.send(at(origin, http.MethodGet, oauth.PathCallback+"github?code=x&state="+state, nil))
		line := resp.Header.Values("Set-Cookie")[1]
		want := `^__Host-mcp_signin=[\w-]{43}; Path=/; HttpOnly; Secure; SameSite=Lax$`
		if origin != issuer {
			want = `^mcp_signin_8080=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax$`
		}
		if !regexp.MustCompile(want).MatchString(line) {
			t.Errorf("%s: %s", origin, line)
		}
		// And it is the one that is read.
		page := body(t, b.send(at(origin, http.MethodGet, oauth.PathAuthorize+"?"+q.Encode(), nil)))
		if !strings.Contains(page, "Go on as <strong><bdi>octocat") {
			t.Errorf("%s: not signed in:\n%s", origin, page)
		}
	}
}

// The backend could act as the person at the gateway with it, or sign them in as
// somebody else.
func TestBackendHasNoPartInSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var seen string
	w.backend = func(rw http.ResponseWriter, r *http.Request) {
		seen = r.Header.Get("Cookie")
		rw.Header().Add("Set-Cookie", sessionCookie+"=x; Path=/; Secure")
		rw.Header().Add("Set-Cookie", "mcp_signin_8080=x")
		rw.Header().Add("Set-Cookie", "own=1")
	}
	_, tok := w.tokens()
	resp := w.call(tok.AccessToken, "Cookie", sessionCookie+"=a; mcp_signin_8080=b; own=2")
	if seen != "own=2" {
		t.Errorf("the backend saw %q", seen)
	}
	if got := resp.Header.Values("Set-Cookie"); len(got) != 1 || got[0] != "own=1" {
		t.Errorf("the browser got %q", got)
	}
}

// Session fixation: whoever can put a cookie into the victim's browser, before
// the victim signs in, is not signed in by it afterwards. Neither is a copy of the
// cookie from before the last sign-in.
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	planted := w.signedIn().cookies[sessionCookie].Value // even a genuine one
	for name, value := range map[string]string{
		"genuine": planted, "made up": strings.Repeat("x", 43), "short": "x", "empty": "",
	} {
		victim, attacker := w.browser(), w.browser()
		for _, b := range []*browser{victim, attacker} {
			b.cookies[sessionCookie] = &http.Cookie{Name: sessionCookie, Value: value}
		}
		q := authorizeQuery(w.register(webURI), webURI)
		action, fields := victim.open(q)
		state := upstreamState(t, victim.approve(action, with(fields, "upstream", "github")))
		wantCode(t, victim.callback(state))
		if got := victim.cookies[sessionCookie].Value; got == value || len(got) != 43 {
			t.Errorf("%s: after signing in the cookie is %q", name, got)
		}
		wantAsked(t, attacker.fromClient(q), "")
		wantAsked(t, victim.fromClient(q), "octocat")
	}
}

// Nothing but a cookie we made, for this issuer, and alone, is a session.
func TestForgedSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := authorizeQuery(w.register(webURI), webURI)
	genuine := w.signedIn().cookies[sessionCookie].Value
	hash := token.Hash(genuine)
	for name, cookie := range map[string]string{
		"changed":                 flip(genuine),
		"cut":                     genuine[:42],
		"longer":                  genuine + "A",
		"its hash":                string(hash[:]),
		"other name":              "",
		"with a planted one":      genuine + "; " + sessionCookie + "=" + strings.Repeat("x", 43),
		"behind a planted one":    strings.Repeat("x", 43) + "; " + sessionCookie + "=" + genuine,
		"the same one twice":      genuine + "; " + sessionCookie + "=" + genuine,
		"name in capitals":        "; __HOST-MCP_SIGNIN=" + genuine,
		"without the host prefix": "; mcp_signin=" + genuine,
		"of another port":         "; mcp_signin_8080=" + genuine,
		"a browser cookie":        "; __Host-mcp_browser=" + genuine,
		"very long":               strings.Repeat("A", 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantAsked(t, w.do(navigation(q, "Cookie", sessionCookie+"="+cookie)), "")
		})
	}
	wantAsked(t, w.do(navigation(q, "Cookie", sessionCookie+"="+genuine)), "octocat")
}

// Two issuers share keys and store. Whoever signed in at one did not at the other,
// where other people decide who may.
func TestSessionOfAnotherIssuer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn()
	w.config.Issuer = "https://other.example.com"
	w.reload()
	id := w.register(webURI)
	q := authorizeQuery(id, webURI, "resource", w.config.Issuer+"/mcp")
	wantAsked(t, b.fromClient(q), "")
}

// Eight hours after the sign-in, or after an hour without use, whatever the
// browser keeps.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := authorizeQuery(w.register(webURI), webURI)
	use := func(b *browser) {
		action, fields := wantAsked(t, b.fromClient(q), "octocat")
		wantCode(t, b.approve(action, fields))
	}

	b := w.signedIn()
	w.clock.Advance(time.Hour - time.Second)
	wantAsked(t, b.fromClient(q), "octocat")
	w.clock.Advance(time.Second)
	wantAsked(t, b.fromClient(q), "") // looking at the page was no use

	b = w.signedIn()
	for range 9 { // to 7:57
		w.clock.Advance(53 * time.Minute)
		use(b)
	}
	w.clock.Advance(3*time.Minute - time.Second)
	use(b)
	w.clock.Advance(time.Second)
	wantAsked(t, b.fromClient(q), "")
}

// A page that was opened as somebody is approved as them or not at all: if in the
// meantime they signed out, or another person signed in, approving leads upstream.
func TestApprovalIsForWhomThePageNamed(t *testing.T) {
	t.Parallel()
	for name, happens := range map[string]func(*world, *browser){
		"another account signed in": func(w *world, b *browser) {
			action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
			w.up.identity = hubot()
			wantCode(t, b.callback(upstreamState(t, b.approve(action, with(fields, "upstream", "github")))))
		},
		"signed out":              func(_ *world, b *browser) { b.signOut() },
		"the session ended":       func(w *world, _ *browser) { w.clock.Advance(5 * time.Minute) },
		"cookies were deleted":    func(_ *world, b *browser) { delete(b.cookies, sessionCookie) },
		"the session was revoked": func(w *world, _ *browser) { w.store.failOn("TouchSession", storage.ErrNotFound) },
		"the account was deleted": func(w *world, _ *browser) { w.store.failOn("Account", storage.ErrNotFound) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, anybody(t))
			b := w.signedIn()
			w.clock.Advance(55 * time.Minute) // the session has five left, the form ten
			q := authorizeQuery(w.register(webURI), webURI)
			action, fields := wantAsked(t, b.fromClient(q), "octocat")
			happens(w, b)
			// The page named octocat; whoever else is signed in there is not meant.
			wantUpstream(t, b.approve(action, fields), true)
		})
	}
}

// "Do not ask again" was meant, however the person signs in in the end.
func TestRememberedAfterTheSessionEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn()
	q := authorizeQuery(w.register(webURI), webURI)
	action, fields := wantAsked(t, b.fromClient(q), "octocat")
	b.signOut()
	wantCode(t, b.callback(wantUpstream(t, b.approve(action, with(fields, "remember", web.RememberYes)), true)))
	wantCode(t, b.fromClient(q))
}

// Signing in again as the same person in another tab is no reason to go upstream.
func TestApprovalSurvivesTheRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn()
	q := authorizeQuery(w.register(webURI), webURI)
	action, fields := wantAsked(t, b.fromClient(q), "octocat")
	before := b.cookies[sessionCookie].Value
	other, form := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
	wantCode(t, b.callback(upstreamState(t, b.approve(other, with(form, "upstream", "github")))))
	if b.cookies[sessionCookie].Value == before {
		t.Fatal("the session was not rotated")
	}
	wantCode(t, b.approve(action, fields))
}

// The page offers to be somebody else. GitHub is then told to ask, or it would
// send back who is signed in there.
func TestUseAnotherAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, anybody(t))
	b := w.signedIn()
	old := b.cookies[sessionCookie]
	q := authorizeQuery(w.register(webURI), webURI)
	action, fields := wantAsked(t, b.fromClient(q), "octocat")
	state := wantUpstream(t, b.approve(action, with(fields, "upstream", "github")), true)
	w.up.identity = hubot()
	wantCode(t, b.callback(state))
	wantAsked(t, b.fromClient(q), "hubot")
	b.cookies[sessionCookie] = old
	wantAsked(t, b.fromClient(q), "")
}

// With several upstreams the page offers each, and staying signed in first.
func TestUseAnotherUpstream(t *testing.T) {
	t.Parallel()
	ghe := &scriptedUpstream{name: "ghe", identity: identity.Identity{Upstream: "ghe", Kind: identity.KindGitHub, ID: "7", Login: "octo-ghe"}}
	w := newWorld(t, withUpstream(ghe))
	b := w.signedIn()
	q := authorizeQuery(w.register(webURI), webURI)
	action, fields := wantAsked(t, b.fromClient(q), "octocat")
	state := wantUpstream(t, b.approve(action, with(fields, "upstream", "ghe")), true)
	wantCode(t, b.get(oauth.PathCallback+"ghe?code=x&state="+state))
	wantAsked(t, b.fromClient(q), "octo-ghe")
	wantPage(t, b.approve(action, with(fields, "upstream", "gitlab")), http.StatusBadRequest, "invalid_request")
	wantPage(t, b.approve(action, with(fields, "upstream", "")), http.StatusBadRequest, "invalid_request")
	// The first page named octocat: whoever approves it is not octo-ghe by that.
	if loc := location(t, b.approve(action, fields)); !strings.HasSuffix(loc.Query().Get("redirect_uri"), "/callback/github") {
		t.Errorf("sent to %s", loc)
	}
}

// What the operator changed counts at once, session or not.
func TestSessionAfterTheWorldChanged(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*testing.T, *world)
		// approved is what becomes of a page that was opened before.
		approved func(*testing.T, *http.Response)
	}{
		"no longer allowed": {
			func(t *testing.T, w *world) { w.config.Resources[0].Policy = rules(t, "user:somebody-else") },
			func(t *testing.T, r *http.Response) { wantPage(t, r, http.StatusForbidden, "not_allowed") },
		},
		"upstream removed": {
			func(_ *testing.T, w *world) {
				w.config.Upstreams = []upstream.Upstream{&scriptedUpstream{name: "ghe", identity: octocat()}}
			},
			func(t *testing.T, r *http.Response) { wantPage(t, r, http.StatusBadRequest, "invalid_request") },
		},
		"left the organization": {
			// As a sign-in in another browser, or a check, will notice.
			func(t *testing.T, w *world) {
				left := octocat()
				left.Groups = nil
				err := w.store.SaveAccount(t.Context(), &storage.Account{Subject: left.Subject(), Identity: left, CheckedAt: w.clock.Now()})
				if err != nil {
					t.Fatal(err)
				}
			},
			func(t *testing.T, r *http.Response) { wantPage(t, r, http.StatusForbidden, "not_allowed") },
		},
		"account of another subject": {
			func(_ *testing.T, w *world) {
				other := hubot()
				other.Groups = []string{"acme"}
				w.store.Store = &editedStore{Store: w.store.Store, account: other}
			},
			func(t *testing.T, r *http.Response) { wantUpstream(t, r, true) },
		},
		"name taken by another kind of upstream": {
			func(t *testing.T, w *world) {
				users := []local.User{{Name: "583231", Hash: bcryptOf(t, alicePassword)}}
				up, err := local.New(local.Config{Name: "github", Users: users})
				if err != nil {
					t.Fatal(err)
				}
				w.config.Upstreams = []upstream.Upstream{up}
			},
			func(t *testing.T, r *http.Response) {
				if loc := location(t, r); loc.Host != "mcp.example.com" || loc.Path != oauth.PathCallback+"github" {
					t.Errorf("sent to %s", loc)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *gateway.Config) { c.Resources[0].Policy = rules(t, "org:acme") })
			b := w.signedIn()
			q := authorizeQuery(w.register(webURI), webURI)
			b.remembers(q)
			action, fields := wantAsked(t, b.fromClient(q, "Referer", ""), "octocat")
			tt.change(t, w)
			w.reload()
			wantAsked(t, b.fromClient(q), "")
			tt.approved(t, b.approve(action, fields))
		})
	}
}

// Nothing is kept of somebody who may not use the server, and who was signed in
// before still is.
func TestNotAllowedUserGetsNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := w.observed()
	b, _, state := w.begun(webURI)
	w.up.identity = hubot()
	resp := b.callback(state)
	wantPage(t, resp, http.StatusForbidden, "not_allowed")
	if b.cookies[sessionCookie] != nil || rec.count("CreateSession") != 0 {
		t.Error("a session began")
	}
	w.up.identity = octocat()
	b = w.signedIn()
	q := authorizeQuery(w.register(webURI), webURI)
	action, fields := b.open(q)
	w.up.identity = hubot()
	state = wantUpstream(t, b.approve(action, with(fields, "upstream", "github")), true)
	wantPage(t, b.callback(state), http.StatusForbidden, "not_allowed")
	wantAsked(t, b.fromClient(q), "octocat")
}

// An account that is allowed at one resource is not offered at another one where
// it is not.
func TestSessionIsJudgedByEveryResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, twoResources(t))
	w.config.Resources[1].Policy = rules(t, "user:hubot")
	w.reload()
	b := w.signedIn()
	id := w.register(webURI)
	wantAsked(t, b.fromClient(authorizeQuery(id, webURI)), "octocat")
	wantAsked(t, b.fromClient(authorizeQuery(id, webURI, "resource", issuer+"/ops")), "")
}

// Approving as who is signed in is limited like every approval, and so are the
// grants that it stores.
func TestApprovalsOfASessionAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limits("authorizations", 10))
	b := w.signedIn()
	rec := w.observed()
	action, fields := b.open(authorizeQuery(w.register(webURI), webURI))
	for range 30 {
		if resp := b.approve(action, fields); resp.StatusCode != http.StatusSeeOther {
			wantPage(t, resp, http.StatusTooManyRequests, "rate_limited")
		}
	}
	if n := rec.count("CreateGrant"); n == 0 || n > 10 {
		t.Errorf("%d grants were stored, the limit is 10", n)
	}
}

// A double click, a double load, the back button, two tabs: every one of them ends
// at the client, with a code of its own.
func TestRepeatedApprovalsOfASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn()
	id := w.register(webURI)
	q := authorizeQuery(id, webURI)
	action, fields := b.open(q)
	again, second := b.open(q)
	codes := map[string]bool{}
	for _, resp := range []*http.Response{
		b.approve(action, fields), b.approve(action, fields), b.approve(again, second), b.approve(action, fields),
	} {
		codes[wantCode(t, resp)] = true
	}
	if len(codes) != 4 {
		t.Fatalf("%d codes", len(codes))
	}
	for code := range codes {
		w.redeem(with(codeForm(id, code), "redirect_uri", webURI))
	}
	// Denying after all that is still a denial, and approving after it an approval.
	wantPage(t, b.submit(action, with(fields, "decision", "deny")), http.StatusOK, "access_denied")
	wantCode(t, b.approve(action, fields))
}

// Many tabs of one browser at the same moment, for many clients.
func TestParallelAuthorizationsOfOneSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn()
	rec := w.observed()
	var wg sync.WaitGroup
	for range 64 {
		id := w.register(webURI)
		action, fields := b.open(authorizeQuery(id, webURI, "state", id))
		r := request(http.MethodPost, action, with(fields, "decision", "approve").Encode(),
			"Content-Type", formEncoded, "Origin", issuer, "Sec-Fetch-Site", "same-origin")
		for _, c := range b.cookies {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
		wg.Go(func() {
			loc := location(t, w.do(r))
			wantOnce(t, loc, map[string]string{"code": "*", "state": id})
			tok := w.redeem(with(codeForm(id, loc.Query().Get("code")), "redirect_uri", webURI))
			w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
		})
	}
	wg.Wait()
	if w.up.calls != 1 || rec.count("CreateGrant") != 64 {
		t.Errorf("%d calls upstream, %d grants", w.up.calls, rec.count("CreateGrant"))
	}
}
