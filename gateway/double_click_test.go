// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// clicks is a sign-in page that is filled in and can be sent any number of times, with
// the cookies from before the first time: the browser has no answer yet.
type clicks struct {
	*world
	rec      *recordingStore
	browser  *browser
	clientID string
	action   string
	fields   url.Values
	cookies  map[string]*http.Cookie
}

func newClicks(t *testing.T) *clicks {
	t.Helper()
	w := newWorld(t, withPasswords(t, &scriptedPasswords{}))
	c := &clicks{world: w, rec: w.observed(), browser: w.browser(), clientID: w.register(loopbackURI)}
	c.action, c.fields = c.browser.signInPage(authorizeQuery(c.clientID, loopbackURI))
	c.fields = with(c.fields, "username", "alice", "password", alicePassword)
	c.cookies = maps.Clone(c.browser.cookies)
	return c
}

// request is one click.
func (c *clicks) request(override ...string) *http.Request {
	r := request(http.MethodPost, c.action, with(c.fields, override...).Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Origin", issuer, "Sec-Fetch-Site", "same-origin")
	for _, k := range c.cookies {
		r.AddCookie(&http.Cookie{Name: k.Name, Value: k.Value})
	}
	return r
}

func (c *clicks) click(override ...string) *http.Response {
	c.t.Helper()
	return c.do(c.request(override...))
}

// A browser shows the answer to the last of two clicks. It is the answer to the first.
func TestSecondClickGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	c := newClicks(t)
	first, second := c.click(), c.click()
	code := wantCode(t, second)
	if got := second.Header.Get("Location"); got != first.Header.Get("Location") {
		t.Errorf("another answer: %s", got)
	}
	for _, name := range []string{"Set-Cookie", "Cache-Control", "Referrer-Policy"} {
		if a, b := first.Header.Values(name), second.Header.Values(name); strings.Join(a, "\n") != strings.Join(b, "\n") {
			t.Errorf("%s: %q, then %q", name, a, b)
		}
	}
	if n := c.rec.count("CreateGrant"); n != 1 {
		t.Errorf("%d grants", n)
	}
	c.wantCall("/mcp", c.redeem(codeForm(c.clientID, code)).AccessToken, http.StatusOK)
	if strings.Contains(c.log.String(), code) {
		t.Error("the code is in the log")
	}
}

func TestClicksAtTheSameTime(t *testing.T) {
	t.Parallel()
	c := newClicks(t)
	var wg sync.WaitGroup
	answers := make(chan string, 16)
	for range cap(answers) {
		r := c.request()
		wg.Go(func() { answers <- c.do(r).Header.Get("Location") })
	}
	wg.Wait()
	close(answers)
	one := <-answers
	for other := range answers {
		if other != one || !strings.Contains(other, "code=") {
			t.Errorf("sent to %q and to %q", one, other)
		}
	}
	if n := c.rec.count("CreateGrant"); n != 1 {
		t.Errorf("%d grants", n)
	}
}

// Both answers arrived, as can happen with a program on the same computer. Handing out
// a code that was redeemed would make its client redeem it again, and lose everything.
func TestSecondClickAfterTheCodeWasRedeemed(t *testing.T) {
	t.Parallel()
	c := newClicks(t)
	tok := c.redeem(codeForm(c.clientID, wantCode(t, c.click()))).AccessToken
	page := wantPage(t, c.click(), http.StatusOK, "signed_in")
	if strings.Contains(page, "code=") || !strings.Contains(page, "You are signed in") {
		t.Errorf("page:\n%s", page)
	}
	c.wantCall("/mcp", tok, http.StatusOK)
}

// The browser hangs up on the first click as soon as there is a second one.
func TestFirstClickIsHungUp(t *testing.T) {
	t.Parallel()
	c := newClicks(t)
	ctx, cancel := context.WithCancel(t.Context())
	c.store.Store = &attentiveStore{c.store.Store, cancel}
	c.do(c.request().WithContext(ctx))
	wantCode(t, c.click())
	if n := c.rec.count("CreateGrant"); n != 1 {
		t.Errorf("%d grants", n)
	}
}

// attentiveStore does not write for a caller who has gone. The caller goes as soon as
// the sign-in is taken.
type attentiveStore struct {
	storage.Store
	hangUp func()
}

func (s *attentiveStore) TakePending(ctx context.Context, issuer string, id storage.Hash) (*storage.Pending, error) {
	defer s.hangUp()
	return s.Store.TakePending(ctx, issuer, id)
}

func (s *attentiveStore) CreateGrant(ctx context.Context, g *storage.Grant) error {
	return errors.Join(ctx.Err(), s.Store.CreateGrant(ctx, g))
}

// Who is not allowed learns that, and not that something took too long.
func TestSecondClickOfSomebodyNotAllowed(t *testing.T) {
	t.Parallel()
	c := newClicks(t)
	first := wantPage(t, c.click("username", "mallory"), http.StatusForbidden, "not_allowed")
	if second := wantPage(t, c.click("username", "mallory"), http.StatusForbidden, "not_allowed"); second != first {
		t.Errorf("another page:\n%s", second)
	}
}

// The first click met a store in trouble. The second one is a new try, as ever.
func TestSecondClickAfterAFault(t *testing.T) {
	t.Parallel()
	c := newClicks(t)
	c.store.failOn("TakePending", errors.New("disk full"))
	wantPage(t, c.click(), http.StatusServiceUnavailable, "store_unavailable")
	c.store.failOn("TakePending", nil)
	wantCode(t, c.click())
	wantCode(t, c.click())
	if n := c.rec.count("CreateGrant"); n != 1 {
		t.Errorf("%d grants", n)
	}
}

// Attack: what a second click gets is a code. Nobody else gets it: not without the
// cookie of this very sign-in, its form, and the password of the same person, and not
// later. The sign-in is as used up as ever.
func TestAttackAnswerOfSomebodyElse(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		attempt func(*clicks) *http.Response
		status  int
		reason  string
	}{
		"without cookies": {func(c *clicks) *http.Response {
			c.cookies = nil
			return c.click()
		}, http.StatusBadRequest, "flow_expired"},
		"in another browser": {func(c *clicks) *http.Response {
			other := c.world.browser()
			other.signInPage(authorizeQuery(c.clientID, loopbackURI))
			c.cookies = other.cookies
			return c.click()
		}, http.StatusBadRequest, "flow_expired"},
		"with a cookie made up": {func(c *clicks) *http.Response {
			for name := range c.cookies {
				c.cookies[name] = &http.Cookie{Name: name, Value: "made-up"}
			}
			return c.click()
		}, http.StatusBadRequest, "flow_expired"},
		"as another person": {func(c *clicks) *http.Response { return c.click("username", "mallory") }, http.StatusBadRequest, "flow_expired"},
		"without the form":  {func(c *clicks) *http.Response { return c.click("csrf", "made-up") }, http.StatusForbidden, "cross_site"},
		"from elsewhere": {func(c *clicks) *http.Response {
			r := c.request()
			r.Header.Set("Origin", "https://evil.example")
			return c.do(r)
		}, http.StatusForbidden, "cross_site"},
		"by a link": {func(c *clicks) *http.Response {
			r := request(http.MethodGet, c.action+"?"+c.fields.Encode(), "")
			for _, k := range c.cookies {
				r.AddCookie(k)
			}
			return c.do(r)
		}, http.StatusBadRequest, "flow_expired"},
		"of another state": {func(c *clicks) *http.Response { return c.click("state", "x") }, http.StatusBadRequest, "flow_expired"},
		"later": {func(c *clicks) *http.Response {
			c.clock.Advance(11 * time.Second)
			return c.click()
		}, http.StatusBadRequest, "flow_expired"},
		"over after a reload": {func(c *clicks) *http.Response {
			c.reload()
			return c.click()
		}, http.StatusBadRequest, "flow_expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClicks(t)
			wantCode(t, c.click())
			wantPage(t, tc.attempt(c), tc.status, tc.reason)
			if n := c.rec.count("CreateGrant"); n != 1 {
				t.Errorf("%d grants", n)
			}
		})
	}
}

// Attack: the password has to be right the second time as well.
func TestAttackAnswerWithoutThePassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withLocalUsers(t))
	b := w.browser()
	action, fields := b.signInPage(authorizeQuery(w.register(loopbackURI), loopbackURI))
	cookies := maps.Clone(b.cookies)
	wantCode(t, b.submit(action, with(fields, "username", "alice", "password", alicePassword)))
	b.cookies = cookies
	page := wantPage(t, b.submit(action, with(fields, "username", "alice", "password", "guess")), http.StatusForbidden, "")
	if strings.Contains(page, "code=") {
		t.Errorf("page:\n%s", page)
	}
	wantCode(t, b.submit(action, with(fields, "username", "alice", "password", alicePassword)))
}

// Attack: the address of another list of users, where mallory has a password for the
// same name, asks for the answer of this one.
func TestAttackAnswerAtAnotherUpstream(t *testing.T) {
	t.Parallel()
	c := newClicks(t)
	other := &otherList{}
	c.config.Upstreams = append(c.config.Upstreams, other)
	c.reload()
	c.action, c.fields = c.browser.signInPage(authorizeQuery(c.clientID, loopbackURI, "scope", ""))
	c.fields = with(c.fields, "username", "alice", "password", alicePassword)
	c.cookies = maps.Clone(c.browser.cookies)
	wantCode(t, c.click())
	c.action = oauth.PathCallback + other.Name()
	wantPage(t, c.click(), http.StatusBadRequest, "flow_expired")
	if other.calls() != 0 {
		t.Error("the other list looked at the password")
	}
}

type otherList struct{ scriptedPasswords }

func (*otherList) Name() string { return "home" }
