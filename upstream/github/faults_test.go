// SPDX-License-Identifier: Apache-2.0

package github

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/oauth2"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// TestAPIFaults meets every call of a sign-in with every kind of trouble. None
// may end in an identity, and only two of them are statements about the user.
func TestAPIFaults(t *testing.T) {
	t.Parallel()
	faults := map[string]struct {
		fault testidp.Fault
		want  upstream.Reason
		says  string
	}{
		"bad credentials":        {testidp.Status(401, "Bad credentials"), upstream.ReasonInvalid, "status 401"},
		"primary limit":          {testidp.RateLimited(time.Unix(1700000000, 0)), upstream.ReasonUnavailable, "X-RateLimit-Reset 1700000000"},
		"secondary limit":        {testidp.SecondaryRateLimit(60 * time.Second), upstream.ReasonUnavailable, "Retry-After 60"},
		"secondary limit, plain": {testidp.SecondaryRateLimit(0), upstream.ReasonUnavailable, "status 403"},
		"abuse limit":            {testidp.Status(403, "You have triggered an abuse detection mechanism."), upstream.ReasonUnavailable, "status 403"},
		"429":                    {testidp.TooManyRequests(5 * time.Second), upstream.ReasonUnavailable, "Retry-After 5"},
		"500":                    {testidp.Status(500, "oops"), upstream.ReasonUnavailable, "status 500"},
		"502 page":               {testidp.HTML(502), upstream.ReasonUnavailable, "status 502"},
		"403 page":               {testidp.HTML(403), upstream.ReasonUnavailable, "status 403"},
		"503":                    {testidp.Status(503, "maintenance"), upstream.ReasonUnavailable, "X-GitHub-Request-Id"},
		"200 page":               {testidp.HTML(200), upstream.ReasonUnavailable, "text/html"},
		"no content type":        {testidp.Raw(200, "", `[]`), upstream.ReasonUnavailable, "not JSON"},
		"lookalike content type": {testidp.Raw(200, "application/jsonp", `[]`), upstream.ReasonUnavailable, "not JSON"},
		"304":                    {testidp.Raw(304, "application/json", ""), upstream.ReasonUnavailable, "status 304"},
		"204":                    {testidp.Raw(204, "application/json", ""), upstream.ReasonUnavailable, "status 204"},
		"206":                    {testidp.Raw(206, "application/json", "[]"), upstream.ReasonUnavailable, "status 206"},
		"empty":                  {testidp.JSON(""), upstream.ReasonUnavailable, "JSON"},
		"null":                   {testidp.JSON("null"), upstream.ReasonUnavailable, ""},
		"string":                 {testidp.JSON(`"ok"`), upstream.ReasonUnavailable, "JSON"},
		"half":                   {testidp.JSON(`[{"login":"acme"`), upstream.ReasonUnavailable, "JSON"},
		"trailing garbage":       {testidp.JSON(`[] []`), upstream.ReasonUnavailable, "JSON"},
		"error as 200":           {testidp.JSON(`{"message":"Bad credentials","status":"401"}`), upstream.ReasonUnavailable, ""},
		"null entry":             {testidp.JSON(`[null]`), upstream.ReasonUnavailable, "JSON"},
		"wrong types":            {testidp.JSON(`[{"login":1,"slug":1,"email":1,"state":1}]`), upstream.ReasonUnavailable, "JSON"},
		"truncated":              {testidp.Truncated(`[{"login":"acme"}`), upstream.ReasonUnavailable, "reading the answer"},
		"too long":               {testidp.Oversized(2 << 20), upstream.ReasonUnavailable, "1 MiB"},
		"reset":                  {testidp.Reset(), upstream.ReasonUnavailable, "github:"},
	}
	for _, path := range []string{"/user", "/user/emails", "/user/memberships/orgs", "/user/teams"} {
		for name, tc := range faults {
			t.Run(strings.TrimPrefix(path, "/")+" "+name, func(t *testing.T) {
				t.Parallel()
				g, srv := start(t, Config{Needs: needBoth})
				srv.Fail(path, tc.fault)
				id, err := signIn(t, g, srv)
				if err == nil {
					t.Fatalf("identity %+v", id)
				}
				wantRefusal(t, err, tc.want, tc.says)
			})
		}
	}
}

// TestForbiddenAndMissing are the answers whose meaning depends on the path.
func TestForbiddenAndMissing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		path  string
		fault testidp.Fault
		want  upstream.Reason
		says  string
	}{
		"no user":         {"/user", testidp.Status(404, "Not Found"), upstream.ReasonUnavailable, "status 404"},
		"no orgs":         {"/user/memberships/orgs", testidp.Status(404, "Not Found"), upstream.ReasonUnavailable, "status 404"},
		"no teams":        {"/user/teams", testidp.Status(404, "Not Found"), upstream.ReasonUnavailable, "status 404"},
		"user forbidden":  {"/user", testidp.Status(403, "Resource not accessible"), upstream.ReasonInsufficientScope, "status 403"},
		"orgs forbidden":  {"/user/memberships/orgs", testidp.Status(403, "You need at least read:org scope"), upstream.ReasonInsufficientScope, "status 403"},
		"teams forbidden": {"/user/teams", testidp.Status(403, "Must have admin rights"), upstream.ReasonInsufficientScope, "status 403"},
		"SAML": {"/user/memberships/orgs", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.Header().Set("X-GitHub-SSO", "required; url=https://github.com/orgs/acme/sso?authorization_request=SECRETREQUEST")
			testidp.Status(403, "Resource protected by organization SAML enforcement.")(w, r, next)
		}, upstream.ReasonInsufficientScope, "X-GitHub-SSO required; url=https://github.com/orgs/acme/sso"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, srv := start(t, Config{Needs: needBoth})
			srv.Fail(tc.path, tc.fault)
			_, err := signIn(t, g, srv)
			wantRefusal(t, err, tc.want, tc.says)
			keepsSecret(t, err, "SECRETREQUEST")
		})
	}
}

// TestTroubleOnALaterPage: the first page of organizations came, the second did
// not. Half a list is not the list.
func TestTroubleOnALaterPage(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{Needs: needBoth}, func(c *testidp.Config) { c.PageSize = 1 })
	srv.UpdateUser(583231, func(u *testidp.User) { u.Orgs = []string{"acme", "evil", "other"} })
	for _, fault := range []testidp.Fault{testidp.HTML(502), testidp.Truncated("["), testidp.JSON("{}"), testidp.Status(404, "Not Found")} {
		srv.Script("/user/memberships/orgs", nil, fault)
		_, err := signIn(t, g, srv)
		wantRefusal(t, err, upstream.ReasonUnavailable, "/user/memberships/orgs")
	}
	id, err := signIn(t, g, srv)
	if err != nil || len(id.Groups) != 4 {
		t.Errorf("after the trouble: groups %q, error %v", id.Groups, err)
	}
}

// TestHangs: GitHub accepts the connection and says nothing. A person waits, so
// the sign-in gives up, whichever call it is.
func TestHangs(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/login/oauth/access_token", "/user", "/user/emails", "/user/memberships/orgs", "/user/teams"} {
		t.Run(strings.TrimPrefix(path, "/"), func(t *testing.T) {
			t.Parallel()
			g, srv := start(t, Config{Needs: needBoth, HTTPClient: &http.Client{Timeout: 100 * time.Millisecond}})
			srv.Fail(path, testidp.Hang(nil))
			_, err := signIn(t, g, srv)
			wantRefusal(t, err, upstream.ReasonUnavailable)
			var timeout interface{ Timeout() bool }
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("the cause is lost: %v", err)
			}
		})
	}
}

// TestSlowIsNotHanging: an answer within the time counts.
func TestSlowIsNotHanging(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{})
	release := make(chan struct{})
	srv.Fail("/user", testidp.Hang(release))
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	if id, err := signIn(t, g, srv); err != nil || id.ID != "583231" {
		t.Errorf("identity %+v, error %v", id, err)
	}
}

// TestTheBrowserGoesAway: the request's context ends, and so does the sign-in.
func TestTheBrowserGoesAway(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{})
	srv.Fail("/user", testidp.Hang(nil))
	verifier := oauth2.GenerateVerifier()
	callback := visit(t, authCodeURL(t, g, "s", verifier))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := g.Identify(ctx, callback, verifier, redirectURI)
	wantRefusal(t, err, upstream.ReasonUnavailable)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the cause is lost: %v", err)
	}
}

// TestTimesAreWithinTheLimits: a proxy in front of us gives up after a minute.
func TestTimesAreWithinTheLimits(t *testing.T) {
	t.Parallel()
	g, err := New(Config{ClientID: "id", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if g.client.Timeout != 10*time.Second || lookTimeout > 30*time.Second {
		t.Errorf("one request %s, all %s", g.client.Timeout, lookTimeout)
	}
}

// TestNobodyListens is the commonest trouble of all.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{})
	verifier := oauth2.GenerateVerifier()
	callback := visit(t, authCodeURL(t, g, "s", verifier))
	g.client.Transport = roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, iotest.ErrTimeout
	})
	_, err := g.Identify(t.Context(), callback, verifier, redirectURI)
	wantRefusal(t, err, upstream.ReasonUnavailable, "timeout")
	keepsSecret(t, err, callback.Get("code"), verifier, srv.ClientSecret())
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
