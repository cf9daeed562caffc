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

	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream/local"
)

const (
	alicePassword = "correct horse battery staple"
	malloryWord   = "let me in"
)

// withLocalUsers is a gateway whose users are the real upstream/local: alice, who
// is allowed, and mallory, who is not.
func withLocalUsers(t *testing.T) func(*gateway.Config) {
	t.Helper()
	var users []local.User
	for name, password := range map[string]string{"alice": alicePassword, "mallory": malloryWord} {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), 10)
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, local.User{Name: name, Hash: string(hash), Email: name + "@example.com", Groups: []string{"family"}})
	}
	// A still clock: with the real one, a slow machine refills the throttle in between.
	now := time.Now()
	up, err := local.New(local.Config{Users: users, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return withPasswords(t, up)
}

func withPasswords(t *testing.T, up upstream.PasswordChecker) func(*gateway.Config) {
	t.Helper()
	rule, err := policy.ParseRule("local:alice")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.New([]policy.Rule{rule}, []policy.Ref{{Name: up.Name(), Kind: identity.KindLocal}})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *gateway.Config) {
		c.Upstreams = []upstream.Upstream{up}
		c.Resources[0].Policy = p
	}
}

// signInPage consents and opens the page that asks for a password.
func (b *browser) signInPage(q url.Values) (action string, fields url.Values) {
	b.w.t.Helper()
	loc := location(b.w.t, b.consent(q, "approve"))
	if loc.Host != "mcp.example.com" || loc.Path != oauth.PathCallback+"local" {
		b.w.t.Fatalf("sent to %s", loc)
	}
	return form(b.w.t, wantPage(b.w.t, b.get(loc.RequestURI()), http.StatusOK, ""))
}

// With a name and a password from a list, all the way to the backend.
func TestLocalSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withLocalUsers(t))
	var seen http.Header
	w.backend = func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() }
	id := w.register(loopbackURI)
	b := w.browser()
	action, fields := b.signInPage(authorizeQuery(id, loopbackURI))
	login := func(name, password string) *http.Response {
		t.Helper()
		return b.submit(action, with(fields, "username", name, "password", password))
	}
	// A wrong one shows the page again and does not use the sign-in up. Which of
	// name and password was wrong cannot be told.
	wrong := wantPage(t, login("alice", "wrong"), http.StatusForbidden, "")
	unknown := wantPage(t, login("a<b>lice", "wrong"), http.StatusForbidden, "")
	if strings.ReplaceAll(unknown, "a&lt;b&gt;lice", "alice") != wrong || !strings.Contains(wrong, "not right") {
		t.Errorf("the two failures differ:\n%s\n%s", wrong, unknown)
	}
	for _, name := range []string{"ALICE", "alice ", "", "alice\u200b"} {
		wantPage(t, login(name, alicePassword), http.StatusForbidden, "")
	}
	for range 4 {
		wantPage(t, login("alice", "wrong"), http.StatusForbidden, "")
	}
	wantPage(t, login("alice", alicePassword), http.StatusTooManyRequests, "") // after five wrong ones from here
	elsewhere := request(http.MethodPost, action, with(fields, "username", "alice", "password", alicePassword).Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Origin", issuer, "Sec-Fetch-Site", "same-origin")
	elsewhere.RemoteAddr = "198.51.100.1:1" // the same browser, in another network
	loc := location(t, b.send(elsewhere))
	wantOnce(t, loc, map[string]string{"code": "*", "state": "client-state"})
	w.wantCall("/mcp", w.redeem(codeForm(id, loc.Query().Get("code"))).AccessToken, http.StatusOK)
	if seen.Get("X-Forwarded-User") != "local:alice" || seen.Get("X-Forwarded-Email") != "alice@example.com" {
		t.Errorf("backend saw %v", seen)
	}
	wantPage(t, login("alice", alicePassword), http.StatusBadRequest, "flow_expired") // it is over
	if log := w.log.String(); strings.Contains(log, alicePassword) {
		t.Error("the password is in the log")
	}
}

func TestLocalUserWhoIsNotAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withLocalUsers(t))
	rec := w.observed()
	b := w.browser()
	action, fields := b.signInPage(authorizeQuery(w.register(loopbackURI), loopbackURI))
	text := wantPage(t, b.submit(action, with(fields, "username", "mallory", "password", malloryWord)), http.StatusForbidden, "not_allowed")
	wantOnce(t, backLink(t, text), map[string]string{"error": "access_denied", "error_description": "*", "state": "client-state"})
	if rec.count("CreateGrant") != 0 {
		t.Error("a grant was made")
	}
}

// Login CSRF on our own page: a hostile page signs the victim's browser in with
// the attacker's password. The form must be ours, in this browser.
func TestSignInForgery(t *testing.T) {
	t.Parallel()
	checker := &scriptedPasswords{}
	w := newWorld(t, withPasswords(t, checker))
	b, other := w.browser(), w.browser()
	id := w.register(loopbackURI)
	action, fields := b.signInPage(authorizeQuery(id, loopbackURI))
	_, others := other.signInPage(authorizeQuery(id, loopbackURI))
	fields = with(fields, "username", "alice", "password", alicePassword)
	formType := []string{"Content-Type", "application/x-www-form-urlencoded"}
	ours := append([]string{"Origin", issuer, "Sec-Fetch-Site", "same-origin"}, formType...)
	for name, tt := range map[string]struct {
		browser *browser
		form    url.Values
		header  []string
		status  int
		reason  string
	}{
		"no cookie":         {w.browser(), fields, ours, 403, "foreign_browser"},
		"cookie of another": {other, fields, ours, 403, "foreign_browser"},
		"form of another":   {b, with(others, "username", "alice", "password", alicePassword), ours, 403, "foreign_browser"},
		"csrf of another":   {b, with(fields, "csrf", others.Get("csrf")), ours, 403, "cross_site"},
		"no csrf":           {b, with(fields, "csrf", ""), ours, 403, "cross_site"},
		"csrf twice":        {b, url.Values{"state": fields["state"], "csrf": {fields.Get("csrf"), fields.Get("csrf")}, "username": {"alice"}, "password": {alicePassword}}, ours, 403, "cross_site"},
		"cross-site":        {b, fields, append([]string{"Origin", issuer, "Sec-Fetch-Site", "cross-site"}, formType...), 403, "cross_site"},
		"foreign origin":    {b, fields, append([]string{"Origin", "https://evil.example"}, formType...), 403, "cross_site"},
		"null origin":       {b, fields, append([]string{"Origin", "null"}, formType...), 403, "cross_site"},
		"two names":         {b, url.Values{"state": fields["state"], "csrf": fields["csrf"], "username": {"alice", "bob"}, "password": {alicePassword}}, ours, 400, "invalid_request"},
		"no state":          {b, with(fields, "state", ""), ours, 400, "invalid_request"},
		"unknown state":     {b, with(fields, "state", "x"), ours, 400, "flow_expired"},
		"another type":      {b, fields, []string{"Origin", issuer, "Content-Type", "text/plain"}, 400, "invalid_request"},
		"oversized":         {b, with(fields, "x", strings.Repeat("y", 70_000)), ours, 400, "invalid_request"},
	} {
		resp := tt.browser.send(request(http.MethodPost, action, tt.form.Encode(), tt.header...))
		wantPage(t, resp, tt.status, tt.reason)
		if checker.calls() != 0 {
			t.Fatalf("%s: the password was looked at", name)
		}
	}
	wantPage(t, w.get(action), http.StatusBadRequest, "invalid_request")
	wantPage(t, w.get(action+"?state="+fields.Get("state")), http.StatusForbidden, "foreign_browser")
	// Credentials in a link are not credentials.
	wantPage(t, b.get(action+"?"+fields.Encode()), http.StatusOK, "")
	if checker.calls() != 0 {
		t.Error("a GET signed somebody in")
	}
	location(t, b.submit(action, fields))
}

// What the list may say besides yes and no.
func TestPasswordRefusals(t *testing.T) {
	t.Parallel()
	for reason, status := range map[upstream.Reason]int{
		upstream.ReasonWrongPassword: http.StatusForbidden, upstream.ReasonInvalid: http.StatusForbidden,
		upstream.ReasonThrottled: http.StatusTooManyRequests, upstream.ReasonUnavailable: http.StatusServiceUnavailable,
		upstream.ReasonMisconfigured: http.StatusBadGateway,
	} {
		checker := &scriptedPasswords{err: upstream.Refuse(reason, "with a secret-detail")}
		w := newWorld(t, withPasswords(t, checker))
		b := w.browser()
		action, fields := b.signInPage(authorizeQuery(w.register(loopbackURI), loopbackURI))
		fields = with(fields, "username", "alice", "password", alicePassword)
		text := wantPage(t, b.submit(action, fields), status, "")
		if strings.Contains(text, "secret-detail") || strings.Contains(text, alicePassword) {
			t.Errorf("%s: the page tells too much:\n%s", reason, text)
		}
		checker.answer(nil)
		location(t, b.submit(action, fields)) // none of them used the sign-in up
	}
}

// The right password twice at once, by a double click: one code.
func TestDoubleClickOnSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withPasswords(t, &scriptedPasswords{}))
	rec := w.observed()
	b := w.browser()
	action, fields := b.signInPage(authorizeQuery(w.register(loopbackURI), loopbackURI))
	fields = with(fields, "username", "alice", "password", alicePassword)
	var wg sync.WaitGroup
	for range 8 {
		r := request(http.MethodPost, action, fields.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Origin", issuer)
		for _, c := range b.cookies {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
		wg.Go(func() { w.do(r) })
	}
	wg.Wait()
	if n := rec.count("CreateGrant"); n != 1 {
		t.Errorf("%d grants", n)
	}
}

func TestSignInPageExpires(t *testing.T) {
	t.Parallel()
	checker := &scriptedPasswords{}
	w := newWorld(t, withPasswords(t, checker))
	b := w.browser()
	action, fields := b.signInPage(authorizeQuery(w.register(loopbackURI), loopbackURI))
	w.clock.Advance(10 * time.Minute)
	wantPage(t, b.submit(action, with(fields, "username", "alice", "password", alicePassword)), http.StatusBadRequest, "flow_expired")
	wantPage(t, b.get(action+"?state="+fields.Get("state")), http.StatusBadRequest, "flow_expired")
	if checker.calls() != 0 {
		t.Error("the password was looked at")
	}
}

// scriptedPasswords knows alice and says what a test wants.
type scriptedPasswords struct {
	mu    sync.Mutex
	err   error
	asked int
}

func (p *scriptedPasswords) Name() string     { return "local" }
func (p *scriptedPasswords) Kind() string     { return identity.KindLocal }
func (p *scriptedPasswords) Label() string    { return "Password" }
func (p *scriptedPasswords) calls() int       { p.mu.Lock(); defer p.mu.Unlock(); return p.asked }
func (p *scriptedPasswords) answer(err error) { p.mu.Lock(); defer p.mu.Unlock(); p.err = err }

func (p *scriptedPasswords) Authenticate(_ context.Context, name, _, _ string) (identity.Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	return identity.Identity{Upstream: "local", Kind: identity.KindLocal, ID: name, Login: name}, p.err
}
