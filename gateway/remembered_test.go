// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// remembering is a person who agreed for good that a client connects.
func remembering(t *testing.T, edit ...func(*gateway.Config)) (w *world, b *browser, q url.Values) {
	t.Helper()
	w = newWorld(t, append(edit, anybody(t))...)
	b = w.signedIn()
	q = authorizeQuery(w.register(webURI), webURI)
	b.remembers(q)
	return w, b, q
}

// The consent of a first sign-in is kept at the callback, when the person is known.
func TestRememberedAtTheCallback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := w.observed()
	id := w.register(webURI)
	q := authorizeQuery(id, webURI)
	b := w.browser()
	action, fields := wantAsked(t, b.fromClient(q), "")
	state := wantUpstream(t, b.approve(action, with(fields, "remember", web.RememberYes)), false)
	if rec.count("SaveConsent") != 0 {
		t.Error("remembered before it is known who agreed")
	}
	wantCode(t, b.callback(state))
	code := wantCode(t, b.fromClient(q))
	tok := w.redeem(with(codeForm(id, code), "redirect_uri", webURI))
	w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
	if w.up.calls != 1 {
		t.Errorf("%d calls upstream", w.up.calls)
	}
	if !strings.Contains(w.log.String(), "consent remembered") {
		t.Error("the log does not tell")
	}
}

// Nobody is taken for having agreed for good who did not say so.
func TestNotRememberedUnlessAsked(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "no", "on", "true", "YES", "yes "} {
		w := newWorld(t)
		rec := w.observed()
		q := authorizeQuery(w.register(webURI), webURI)
		b := w.browser()
		action, fields := wantAsked(t, b.fromClient(q), "")
		if fields.Has("remember") {
			t.Error("the box is ticked from the start")
		}
		wantCode(t, b.callback(wantUpstream(t, b.approve(action, with(fields, "remember", value)), false)))
		action, fields = wantAsked(t, b.fromClient(q), "octocat")
		wantCode(t, b.approve(action, with(fields, "remember", value)))
		wantAsked(t, b.fromClient(q), "octocat")
		if rec.count("SaveConsent") != 0 {
			t.Errorf("remember=%q was taken for yes", value)
		}
	}
}

// A sign-in that did not happen leaves no consent behind.
func TestRefusedSignInIsNotRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := w.observed()
	b := w.browser()
	action, fields := b.open(authorizeQuery(w.register(webURI), webURI))
	state := wantUpstream(t, b.approve(action, with(fields, "remember", web.RememberYes)), false)
	w.up.identity = hubot()
	wantPage(t, b.callback(state), http.StatusForbidden, "not_allowed")
	wantPage(t, b.submit(action, with(fields, "remember", web.RememberYes, "decision", "deny")), http.StatusOK, "access_denied")
	if rec.count("SaveConsent") != 0 {
		t.Error("remembered")
	}
}

// Behind a loopback port or a private-use scheme may be another program every
// time: the page does not offer to remember it, and a form that claims otherwise
// changes nothing.
func TestLoopbackAndPrivateUseAreNeverRemembered(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{loopbackURI, "http://localhost/callback", "http://[::1]:8080/callback", privateURI, "com.example.app:/callback"} {
		w := newWorld(t)
		rec := w.observed()
		b := w.signedIn()
		q := authorizeQuery(w.register(uri), uri)
		text := wantPage(t, b.fromClient(q), http.StatusOK, "")
		if strings.Contains(text, `name="remember"`) {
			t.Errorf("%s: the page offers to remember", uri)
		}
		action, fields := form(t, text)
		wantCode(t, b.approve(action, with(fields, "remember", web.RememberYes)))
		for _, from := range []string{"https://client.example/", strings.TrimSuffix(uri, "callback"), "http://127.0.0.1:33418/", ""} {
			wantAsked(t, b.fromClient(q, "Referer", from), "octocat")
		}
		if rec.count("SaveConsent") != 0 {
			t.Errorf("%s: remembered", uri)
		}
	}
}

// Whatever differs from what was agreed to is asked for (R6.3, M-31).
func TestRememberedIsExact(t *testing.T) {
	t.Parallel()
	const secondURI = "https://client.example/second"
	scopes := func(c *gateway.Config) {
		for _, r := range c.Resources {
			r.Scopes = []string{"mcp", "admin"}
		}
	}
	w := newWorld(t, twoResources(t), scopes, anybody(t))
	b := w.signedIn()
	id := w.register(webURI, secondURI)
	q := authorizeQuery(id, webURI)
	b.remembers(q)
	for name, same := range map[string]url.Values{
		"as it was":            q,
		"another state":        with(q, "state", "client-state"),
		"another challenge":    with(q, "code_challenge", strings.Repeat("A", 43)),
		"unknown scope":        with(q, "scope", "mcp unknown"),
		"scope twice":          with(q, "scope", "mcp mcp"),
		"resource left out":    with(q, "resource", ""),
		"resource in capitals": with(q, "resource", "HTTPS://MCP.example.com/mcp"),
		"unknown prompt":       with(q, "prompt", "create"),
		"nothing to prompt":    with(q, "prompt", "none"),
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, b.fromClient(same)) })
	}
	for name, other := range map[string]url.Values{
		"another redirect URI":  with(q, "redirect_uri", secondURI),
		"another client":        authorizeQuery(w.register(webURI, secondURI), webURI),
		"more scopes":           with(q, "scope", "mcp admin"),
		"another scope":         with(q, "scope", "admin"),
		"all scopes":            with(q, "scope", ""),
		"offline access":        with(q, "scope", "mcp offline_access"),
		"another resource":      with(q, "resource", issuer+"/ops"),
		"further path of it":    with(q, "resource", issuer+"/sse"),
		"prompt=consent":        with(q, "prompt", "consent"),
		"prompt=select_account": with(q, "prompt", "select_account"),
		"several prompts":       with(q, "prompt", "create consent"),
	} {
		t.Run(name, func(t *testing.T) { wantAsked(t, b.fromClient(other), "octocat") })
	}
	t.Run("prompt=login", func(t *testing.T) { wantAsked(t, b.fromClient(with(q, "prompt", "login")), "") })
}

// A client that is described otherwise than it was is another client: one that
// took a known name after it was agreed to, for example.
func TestRememberedClientChanged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*storage.Client){
		"renamed":              func(c *storage.Client) { c.Name = "Claude" },
		"name lost":            func(c *storage.Client) { c.Name = "" },
		"other authentication": func(c *storage.Client) { c.AuthMethod = "client_secret_basic" },
		"one more address":     func(c *storage.Client) { c.RedirectURIs = append(c.RedirectURIs, "https://client.example/x") },
		"an address less":      func(c *storage.Client) { c.RedirectURIs = c.RedirectURIs[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.signedIn()
			q := authorizeQuery(w.register(webURI, "https://client.example/other"), webURI)
			b.remembers(q)
			action, fields := wantAsked(t, b.fromClient(q, "Referer", ""), "octocat")
			edited := &editedStore{Store: w.store.Store, client: change}
			w.store.Store = edited
			wantAsked(t, b.fromClient(q), "octocat")
			// A page that showed the old one approves neither.
			wantPage(t, b.approve(action, with(fields, "remember", web.RememberYes)), http.StatusBadRequest, "flow_expired")
			edited.client = nil
			wantCode(t, b.fromClient(q))
		})
	}
}

// What is kept at the callback is what the person saw, also where the client
// changed while they were upstream.
func TestClientChangedDuringTheSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	q := authorizeQuery(w.register(webURI), webURI)
	action, fields := b.open(q)
	state := wantUpstream(t, b.approve(action, with(fields, "remember", web.RememberYes)), false)
	edited := &editedStore{Store: w.store.Store, client: func(c *storage.Client) { c.Name = "Claude" }}
	w.store.Store = edited
	wantCode(t, b.callback(state))
	wantAsked(t, b.fromClient(q), "octocat")
	edited.client = nil
	wantCode(t, b.fromClient(q))
}

// What one person agreed to is nothing to another, in the same browser even.
func TestRememberedForAnotherAccount(t *testing.T) {
	t.Parallel()
	w, b, q := remembering(t)
	for _, id := range []identity.Identity{
		hubot(),
		{Upstream: "github", Kind: identity.KindGitHub, ID: "583231000", Login: "octocat"}, // took the login over
	} {
		w.up.identity = id
		action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
		wantCode(t, b.callback(wantUpstream(t, b.approve(action, with(fields, "upstream", "github")), true)))
		wantAsked(t, b.fromClient(q), id.Login)
	}
	w.up.identity = octocat()
	wantCode(t, w.signedIn().fromClient(q))
}

// Two issuers share the store; at the other one, nobody agreed to anything.
func TestRememberedAtAnotherIssuer(t *testing.T) {
	t.Parallel()
	w, _, q := remembering(t)
	c, err := w.store.Client(t.Context(), issuer, q.Get("client_id"))
	if err != nil {
		t.Fatal(err)
	}
	w.config.Issuer = "https://other.example.com"
	w.reload()
	c.Issuer = w.config.Issuer // the same id there
	if err := w.store.CreateClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	q = with(q, "resource", w.config.Issuer+"/mcp")
	b := w.browser()
	page := b.send(at(w.config.Issuer, http.MethodGet, oauth.PathAuthorize+"?"+q.Encode(), nil))
	action, fields := wantAsked(t, page, "")
	state := upstreamState(t, b.send(at(w.config.Issuer, http.MethodPost, action, with(fields, "decision", "approve"))))
	location(t, b.callback(state))
	wantAsked(t, b.fromClient(q), "octocat")
}

// Attacks that must not get a code without the person's doing: every way to make
// a browser come here other than from the client's own website, in a window.
func TestSilentAuthorization(t *testing.T) {
	t.Parallel()
	_, b, q := remembering(t)
	wantCode(t, b.fromClient(q))
	for name, change := range map[string][]string{
		// Somebody else's page: login CSRF against the client, or with a redirector
		// at the client's address a code for whoever chose the challenge.
		"link on another site":          {"Referer", "https://evil.example/"},
		"another site hides":            {"Referer", ""},
		"sibling of the client":         {"Referer", "https://evil.client.example/"},
		"parent of the client":          {"Referer", "https://example/"},
		"client as prefix":              {"Referer", "https://client.example.evil.example/"},
		"client as user":                {"Referer", "https://client.example@evil.example/"},
		"client as path":                {"Referer", "https://evil.example/https://client.example/"},
		"client's other port":           {"Referer", "https://client.example:8443/"},
		"client over plain http":        {"Referer", "http://client.example/"},
		"sibling of this gateway":       {"Referer", "https://evil.example.com/", "Sec-Fetch-Site", "same-site"},
		"page of the backend":           {"Referer", issuer + "/mcp", "Sec-Fetch-Site", "same-origin"},
		"broken referer":                {"Referer", "https://client.example:port/"},
		"blank referer":                 {"Referer", " "},
		"no website":                    {"Referer", "about:blank"},
		"app on the phone":              {"Referer", "android-app://client.example/"},
		"typed, or opened by a program": {"Referer", "", "Sec-Fetch-Site", "none"},
		// Not a window the person sees.
		"frame":                   {"Sec-Fetch-Dest", "iframe"},
		"old frame":               {"Sec-Fetch-Dest", "frame"},
		"embedded":                {"Sec-Fetch-Dest", "embed"},
		"object":                  {"Sec-Fetch-Dest", "object"},
		"fenced frame":            {"Sec-Fetch-Dest", "fencedframe"},
		"image":                   {"Sec-Fetch-Dest", "image", "Sec-Fetch-Mode", "no-cors"},
		"fetch":                   {"Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors"},
		"fetch as a document":     {"Sec-Fetch-Mode", "cors"},
		"websocket":               {"Sec-Fetch-Mode", "websocket"},
		"prefetch":                {"Sec-Purpose", "prefetch"},
		"prerender":               {"Sec-Purpose", "prefetch;prerender"},
		"old prefetch":            {"Purpose", "prefetch"},
		"prefetch of Firefox":     {"X-Moz", "prefetch"},
		"browser that tells less": {"Sec-Fetch-Dest", "", "Sec-Fetch-Mode", "", "Sec-Fetch-Site", ""},
		"no destination":          {"Sec-Fetch-Dest", ""},
		"no mode":                 {"Sec-Fetch-Mode", ""},
	} {
		t.Run(name, func(t *testing.T) {
			wantAsked(t, b.fromClient(q, change...), "octocat")
		})
	}
	for name, double := range map[string][2]string{
		"two referers":     {"Referer", "https://client.example/"},
		"two destinations": {"Sec-Fetch-Dest", "document"},
	} {
		t.Run(name, func(t *testing.T) {
			r := navigation(q)
			r.Header.Add(double[0], double[1])
			wantAsked(t, b.send(r), "octocat")
		})
	}
	t.Run("form of the client", func(t *testing.T) {
		r := navigation(q)
		post := request(http.MethodPost, oauth.PathAuthorize, q.Encode())
		post.Header = r.Header
		post.Header.Set("Content-Type", formEncoded)
		wantAsked(t, b.send(post), "octocat")
	})
	t.Run("HEAD", func(t *testing.T) {
		r := navigation(q)
		r.Method = http.MethodHead
		wantAsked(t, b.send(r), "octocat")
	})
	wantCode(t, b.fromClient(q, "Referer", "https://client.example:443/connect?x=y"))
	wantCode(t, b.fromClient(q, "Referer", "https://CLIENT.example", "Sec-Fetch-Site", "same-site"))
}

// A consent is good for thirty days, used or not, and only with a session.
func TestRememberedExpires(t *testing.T) {
	t.Parallel()
	w, b, q := remembering(t)
	w.clock.Advance(time.Hour)
	wantAsked(t, b.fromClient(q), "")
	w.clock.Advance(29 * 24 * time.Hour)
	wantCode(t, w.signedIn().fromClient(q))
	w.clock.Advance(23*time.Hour - time.Second)
	b = w.signedIn()
	wantCode(t, b.fromClient(q))
	w.clock.Advance(time.Second)
	wantAsked(t, b.fromClient(q), "octocat")
}

// Whoever denies is asked again, whatever they said before.
func TestDenialForgets(t *testing.T) {
	t.Parallel()
	w, b, q := remembering(t)
	other := authorizeQuery(w.register(webURI), webURI)
	b.remembers(other)
	action, fields := wantAsked(t, b.fromClient(q, "Referer", ""), "octocat")
	w.store.failOn("SaveConsent", errDisk)
	deny := with(fields, "decision", "deny")
	wantPage(t, b.submit(action, deny), http.StatusServiceUnavailable, "store_unavailable")
	w.store.failOn("SaveConsent", nil)
	wantPage(t, b.submit(action, deny), http.StatusOK, "access_denied")
	wantAsked(t, b.fromClient(q), "octocat")
	wantCode(t, b.fromClient(other))
	b.remembers(with(q, "prompt", "consent")) // and may change their mind
	wantCode(t, b.fromClient(q))
}

// The record in the store is not believed to be about somebody it does not name.
func TestRememberedRecordOfAnother(t *testing.T) {
	t.Parallel()
	w, b, q := remembering(t)
	w.store.Store = &foreignConsents{w.store.Store}
	wantAsked(t, b.fromClient(q), "octocat")
}

type foreignConsents struct{ storage.Store }

func (s *foreignConsents) Consent(ctx context.Context, issuer string, id storage.Hash) (*storage.Consent, error) {
	c, err := s.Store.Consent(ctx, issuer, id)
	if err == nil {
		c.Subject = "github:1"
	}
	return c, err
}

// Signed out in one tab while another one is about to be let through.
func TestSignedOutMeanwhile(t *testing.T) {
	t.Parallel()
	w, b, q := remembering(t)
	rec := w.observed()
	w.store.failOn("TouchSession", storage.ErrNotFound)
	action, fields := wantAsked(t, b.fromClient(q), "octocat")
	wantUpstream(t, b.approve(action, with(fields, "remember", web.RememberYes)), true)
	if rec.count("CreateGrant")+rec.count("SaveConsent") != 0 {
		t.Error("the session was used after its end")
	}
}

// A store that fails gives neither a code nor a page that looks as if nothing was
// remembered.
func TestRememberedWhileTheStoreFails(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"Session", "Account", "Consent", "TouchSession", "KeepClient", "CreateGrant"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			w, b, q := remembering(t)
			action, fields := wantAsked(t, b.fromClient(q, "Referer", ""), "octocat")
			w.store.failOn(verb, errDisk)
			wantPage(t, b.fromClient(q), http.StatusServiceUnavailable, "store_unavailable")
			if verb != "Consent" {
				wantPage(t, b.approve(action, fields), http.StatusServiceUnavailable, "store_unavailable")
			}
			w.store.failOn(verb, nil)
			wantCode(t, b.fromClient(q))
			wantCode(t, b.approve(action, fields))
		})
	}
	for _, verb := range []string{"SaveConsent", "CreateSession", "DeleteSession"} {
		t.Run("callback/"+verb, func(t *testing.T) {
			t.Parallel()
			w, b, q := remembering(t)
			rec := w.observed()
			action, fields := wantAsked(t, b.fromClient(q, "Referer", ""), "octocat")
			state := upstreamState(t, b.approve(action, with(fields, "upstream", "github", "remember", web.RememberYes)))
			w.store.failOn(verb, errDisk)
			wantPage(t, b.callback(state), http.StatusServiceUnavailable, "store_unavailable")
			if rec.count("CreateGrant") != 0 {
				t.Error("a code was issued for a sign-in that could not be kept")
			}
		})
	}
}

// Consents and sessions are the store's: a reload, and a new key, change nothing.
func TestRememberedAcrossReloadAndKeyChange(t *testing.T) {
	t.Parallel()
	w, b, q := remembering(t)
	w.reload()
	wantCode(t, b.fromClient(q))
	w.state.SetRing(token.NewRing(token.Key{9}))
	wantCode(t, b.fromClient(q))
}

// One session, many tabs, the same and other clients: a code for each.
func TestParallelSilentAuthorizations(t *testing.T) {
	t.Parallel()
	w, b, q := remembering(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes := map[string]bool{}
	for range 64 {
		r := navigation(q)
		for _, c := range b.cookies {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
		wg.Go(func() {
			code := location(t, w.do(r)).Query().Get("code")
			w.redeem(with(codeForm(q.Get("client_id"), code), "redirect_uri", webURI))
			mu.Lock()
			defer mu.Unlock()
			codes[code] = true
		})
	}
	wg.Wait()
	if len(codes) != 64 {
		t.Errorf("%d codes", len(codes))
	}
}
