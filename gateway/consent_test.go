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
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// The page a person decides on says who, where and what (R6.2), and nothing has
// happened yet.
func TestConsentPageSaysWhatIsDecided(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := w.observed()
	resp := w.postJSON(oauth.PathRegister,
		`{"client_name":"<b>Claude</b>","redirect_uris":["`+privateURI+`"],"token_endpoint_auth_method":"none"}`)
	id := decode[registered](t, resp).ClientID
	b := w.browser()
	text := wantPage(t, b.get(oauth.PathAuthorize+"?"+authorizeQuery(id, privateURI).Encode()), http.StatusOK, "")
	text = strings.ReplaceAll(text, "<wbr>", "")
	for _, want := range []string{"&lt;b&gt;Claude&lt;/b&gt;", "Unverified", "cursor", "anysphere.cursor-mcp", "Weather", "mcp", "GitHub"} {
		if !strings.Contains(text, want) {
			t.Errorf("page lacks %q:\n%s", want, text)
		}
	}
	for _, not := range []string{"<b>Claude", "<script", "client-state", s256, "http-equiv"} {
		if strings.Contains(text, not) {
			t.Errorf("page contains %q", not)
		}
	}
	if rec.count("CreatePending") != 0 || w.up.calls != 0 {
		t.Error("something was begun before consent")
	}
	for name := range b.cookies {
		if strings.Contains(name, "state") {
			t.Errorf("cookie %s was set before consent (R6.4)", name)
		}
	}
}

// A hostile page makes the user's browser approve. Every way to do so fails, and
// the user's own form is as good as before.
func TestConsentForgery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register(loopbackURI)
	other := w.browser() // the attacker's own, with a genuine form of theirs
	_, otherForm := other.open(authorizeQuery(id, loopbackURI, "state", "attacker"))

	type attempt struct {
		cookies map[string]*http.Cookie
		form    url.Values
		header  http.Header
	}
	tests := map[string]struct {
		spoil  func(*attempt)
		status int
		reason string
	}{
		"no cookie":               {func(a *attempt) { a.cookies = nil }, 403, "foreign_browser"},
		"cookie of another":       {func(a *attempt) { a.cookies = other.cookies }, 403, "foreign_browser"},
		"form of another":         {func(a *attempt) { a.form = otherForm }, 403, "foreign_browser"},
		"request of another":      {func(a *attempt) { a.form.Set("request", otherForm.Get("request")) }, 403, "foreign_browser"},
		"csrf of another":         {func(a *attempt) { a.form.Set("csrf", otherForm.Get("csrf")) }, 403, "cross_site"},
		"no csrf":                 {func(a *attempt) { a.form.Del("csrf") }, 403, "cross_site"},
		"wrong csrf":              {func(a *attempt) { a.form.Set("csrf", strings.Repeat("A", 43)) }, 403, "cross_site"},
		"csrf twice":              {func(a *attempt) { a.form.Add("csrf", a.form.Get("csrf")) }, 400, "invalid_request"},
		"request twice":           {func(a *attempt) { a.form.Add("request", a.form.Get("request")) }, 400, "invalid_request"},
		"no request":              {func(a *attempt) { a.form.Del("request") }, 400, "invalid_request"},
		"tampered request":        {func(a *attempt) { a.form.Set("request", flip(a.form.Get("request"))) }, 400, "flow_expired"},
		"cut request":             {func(a *attempt) { a.form.Set("request", a.form.Get("request")[:40]) }, 400, "flow_expired"},
		"plain request":           {func(a *attempt) { a.form.Set("request", `{"r":{}}`) }, 400, "flow_expired"},
		"cross-site":              {func(a *attempt) { a.header.Set("Sec-Fetch-Site", "cross-site") }, 403, "cross_site"},
		"sibling site":            {func(a *attempt) { a.header.Set("Sec-Fetch-Site", "same-site") }, 403, "cross_site"},
		"no initiator":            {func(a *attempt) { a.header.Set("Sec-Fetch-Site", "none") }, 403, "cross_site"},
		"foreign origin":          {func(a *attempt) { a.header.Set("Origin", "https://evil.example") }, 403, "cross_site"},
		"foreign origin, old":     {func(a *attempt) { a.header = http.Header{"Origin": {"https://evil.example"}} }, 403, "cross_site"},
		"null origin":             {func(a *attempt) { a.header.Set("Origin", "null") }, 403, "cross_site"},
		"plain-http origin":       {func(a *attempt) { a.header.Set("Origin", "http://mcp.example.com") }, 403, "cross_site"},
		"origin with other port":  {func(a *attempt) { a.header.Set("Origin", issuer+":8443") }, 403, "cross_site"},
		"no decision":             {func(a *attempt) { a.form.Del("decision") }, 400, "invalid_request"},
		"unknown decision":        {func(a *attempt) { a.form.Set("decision", "yes") }, 400, "invalid_request"},
		"two decisions":           {func(a *attempt) { a.form["decision"] = []string{"deny", "approve"} }, 400, "invalid_request"},
		"upstream that is none":   {func(a *attempt) { a.form.Set("upstream", "gitlab") }, 400, "invalid_request"},
		"planted second cookie":   {func(a *attempt) { a.header.Add("Cookie", "__Host-mcp_browser="+strings.Repeat("x", 43)) }, 403, "foreign_browser"},
		"JSON, which needs no..":  {func(a *attempt) { a.header.Set("Content-Type", "application/json") }, 400, "invalid_request"},
		"text, which needs no..":  {func(a *attempt) { a.header.Set("Content-Type", "text/plain") }, 400, "invalid_request"},
		"multipart form":          {func(a *attempt) { a.header.Set("Content-Type", "multipart/form-data; boundary=x") }, 400, "invalid_request"},
		"larger than any consent": {func(a *attempt) { a.form.Set("x", strings.Repeat("y", 70_000)) }, 400, "invalid_request"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := w.browser()
			rec := w.observed()
			action, fields := b.open(authorizeQuery(id, loopbackURI))
			a := attempt{cookies: b.cookies, form: with(fields, "decision", "approve"), header: http.Header{
				"Origin": {issuer}, "Sec-Fetch-Site": {"same-origin"}, "Content-Type": {"application/x-www-form-urlencoded"},
			}}
			tt.spoil(&a)
			r := request(http.MethodPost, action, a.form.Encode())
			for _, c := range a.cookies {
				r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
			}
			for n, v := range a.header {
				r.Header[n] = append(r.Header[n], v...)
			}
			if r.Header.Get("Content-Type") == "" {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			resp := w.do(r)
			wantPage(t, resp, tt.status, tt.reason)
			if len(resp.Cookies()) != 0 || rec.count("CreatePending") != 0 {
				t.Error("the refused answer left something behind")
			}
			if resp := b.approve(action, fields); resp.StatusCode != http.StatusSeeOther {
				t.Errorf("the user's own answer is no longer taken: %d", resp.StatusCode)
			}
		})
	}
}

// flip changes a character in the middle.
func flip(s string) string {
	i := len(s) / 2
	c := byte('A')
	if s[i] == c {
		c = 'B'
	}
	return s[:i] + string(c) + s[i+1:]
}

// An old browser tells neither Origin nor Sec-Fetch-Site: cookie and token decide.
func TestConsentOfAnOldBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
	fields.Set("decision", "approve")
	resp := b.send(request(http.MethodPost, action, fields.Encode(), "Content-Type", "application/x-www-form-urlencoded"))
	upstreamState(t, resp)
}

// Approving by a link, as an image or a prefetch would: the path takes POST only.
func TestConsentByGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
	fields.Set("decision", "approve")
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodOptions, "PROPFIND"} {
		resp := b.send(request(method, action+"?"+fields.Encode(), ""))
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "POST" ||
			resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", method, resp.StatusCode, resp.Header)
		}
	}
}

// Two issuers of one gateway share keys and store. A form of one is worth
// nothing at the other, although client, browser and cookie are the same.
func TestConsentFormOfAnotherIssuer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
	cfg := w.config
	cfg.Issuer = "https://other.example.com"
	other, err := gateway.New(w.state, cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.server = other
	resp := b.send(request(http.MethodPost, action, with(fields, "decision", "approve").Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Origin", cfg.Issuer, "Sec-Fetch-Site", "same-origin"))
	wantPage(t, resp, http.StatusBadRequest, "flow_expired")
}

func TestConsentExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
	w.clock.Advance(10 * time.Minute)
	upstreamState(t, b.approve(action, fields))
	w.clock.Advance(time.Second)
	wantPage(t, b.approve(action, fields), http.StatusBadRequest, "flow_expired")
}

// A new encryption_key is not a reason to lose the page, its removal is.
func TestConsentAcrossAKeyChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
	w.state.SetRing(token.NewRing(token.Key{2}, token.Key{1}))
	state := upstreamState(t, b.approve(action, fields))
	wantOnce(t, location(t, b.callback(state)), map[string]string{"code": "*", "state": "client-state"})
	w.state.SetRing(token.NewRing(token.Key{3}))
	wantPage(t, b.approve(action, fields), http.StatusBadRequest, "flow_expired")
}

// What was shown counts only as long as it is true (M-34).
func TestConsentAfterTheWorldChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, twoResources(t))
	b := w.browser()
	action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI, "resource", issuer+"/ops"))
	w.store.failOn("Client", storage.ErrNotFound)
	wantPage(t, b.approve(action, fields), http.StatusBadRequest, "unknown_client")
	w.store.failOn("Client", nil)
	real := w.store.Store
	w.store.Store = movedClient{real}
	wantPage(t, b.approve(action, fields), http.StatusBadRequest, "flow_expired")
	w.store.Store = real
	w.config.Resources = w.config.Resources[:1]
	w.reload()
	wantPage(t, b.approve(action, fields), http.StatusBadRequest, "flow_expired")
}

// movedClient is a store in which every client has another address by now.
type movedClient struct{ storage.Store }

func (s movedClient) Client(ctx context.Context, issuer, id string) (*storage.Client, error) {
	c, err := s.Store.Client(ctx, issuer, id)
	if err == nil {
		c.RedirectURIs = []string{"https://evil.example/callback"}
	}
	return c, err
}

// No: the user's own computer is told by a redirect, anybody else by a link that
// the user may follow. Nothing was kept of the request.
func TestDenial(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := w.observed()
	for _, uri := range []string{loopbackURI, webURI, privateURI} {
		b := w.browser()
		resp := b.consent(authorizeQuery(w.register(uri), uri), "deny")
		var loc *url.URL
		if uri == loopbackURI {
			loc = location(t, resp)
		} else {
			loc = backLink(t, wantPage(t, resp, http.StatusOK, "access_denied"))
		}
		if got := loc.Scheme + "://" + loc.Host + loc.Path; got != uri {
			t.Errorf("answer goes to %s, want %s", got, uri)
		}
		wantOnce(t, loc, map[string]string{"error": "access_denied", "error_description": "*", "state": "client-state"})
	}
	if rec.count("CreatePending") != 0 || w.up.calls != 0 {
		t.Error("a denial left something behind")
	}
}

// A double click, or the back button after it is all over: each approval is a
// sign-in of its own, and each ends once.
func TestDoubleApprovalAndBackButton(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register(loopbackURI)
	b := w.browser()
	action, fields := b.open(authorizeQuery(id, loopbackURI))
	seen := map[string]bool{}
	states := []string{upstreamState(t, b.approve(action, fields)), upstreamState(t, b.approve(action, fields))}
	finish := func(state string) {
		t.Helper()
		code := location(t, b.callback(state)).Query().Get("code")
		w.redeem(codeForm(id, code))
		if seen[state] || seen[code] {
			t.Error("two approvals share a state or a code")
		}
		seen[state], seen[code] = true, true
	}
	finish(states[1])
	finish(states[0])
	finish(upstreamState(t, b.approve(action, fields))) // back, and once more
	for state := range seen {
		wantPage(t, b.callback(state), http.StatusBadRequest, "flow_expired")
	}
}

// Two tabs, two clients, crossing each other: each answer goes where it belongs.
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, c := w.register(loopbackURI), w.register(webURI)
	b := w.browser()
	actionA, formA := b.open(authorizeQuery(a, loopbackURI, "state", "A"))
	actionC, formC := b.open(authorizeQuery(c, webURI, "state", "C"))
	stateC := upstreamState(t, b.approve(actionC, formC))
	stateA := upstreamState(t, b.approve(actionA, formA))
	locA, locC := location(t, b.callback(stateA)), location(t, b.callback(stateC))
	if locA.Host != "127.0.0.1:33418" || locC.Host != "client.example" {
		t.Errorf("answers went to %s and %s", locA, locC)
	}
	wantOnce(t, locA, map[string]string{"code": "*", "state": "A"})
	wantOnce(t, locC, map[string]string{"code": "*", "state": "C"})
	w.redeem(codeForm(a, locA.Query().Get("code")))
	w.redeem(with(codeForm(c, locC.Query().Get("code")), "redirect_uri", webURI))
}

// Many people and clients at the same time: nobody gets somebody else's answer.
func TestParallelSignIns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			uri := "http://127.0.0.1:" + string(rune('1'+i%9)) + "000/callback"
			id := w.register(uri)
			loc := location(t, w.browser().signIn(authorizeQuery(id, uri, "state", id)))
			wantOnce(t, loc, map[string]string{"code": "*", "state": id})
			tok := w.redeem(with(codeForm(id, loc.Query().Get("code")), "redirect_uri", uri))
			w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
		})
	}
	wg.Wait()
}

// Once a form was shown it can be approved again and again, and every approval is
// a record on disk: that, too, is an authorization that is counted.
func TestApprovalsAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limits("authorizations", 10))
	rec := w.observed()
	b := w.browser()
	action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
	for range 30 {
		resp := b.approve(action, fields)
		if resp.StatusCode != http.StatusSeeOther {
			wantPage(t, resp, http.StatusTooManyRequests, "rate_limited")
		}
	}
	if n := rec.count("CreatePending"); n > 10 {
		t.Errorf("%d sign-ins were stored, the limit is 10", n)
	}
}
