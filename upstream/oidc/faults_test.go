// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// TestTokenFaults: what else the token endpoint may answer.
func TestTokenFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		serve  http.HandlerFunc
		reason upstream.Reason
		says   string
	}{
		"bad code":            {sendError(400, "invalid_grant"), upstream.ReasonInvalid, `"invalid_grant"`},
		"bad secret":          {sendError(401, "invalid_client"), upstream.ReasonMisconfigured, `"invalid_client"`},
		"bad secret, 400":     {sendError(400, "invalid_client"), upstream.ReasonMisconfigured, `"invalid_client"`},
		"bad redirect":        {sendError(400, "redirect_uri_mismatch"), upstream.ReasonMisconfigured, `"redirect_uri_mismatch"`},
		"bad client":          {sendError(400, "unauthorized_client"), upstream.ReasonMisconfigured, `"unauthorized_client"`},
		"rule says no":        {sendError(403, "access_denied"), upstream.ReasonDenied, `"access_denied"`},
		"unknown":             {sendError(400, "something_new"), upstream.ReasonUnavailable, `"something_new"`},
		"busy":                {sendError(503, "temporarily_unavailable"), upstream.ReasonUnavailable, "status 503"},
		"crashed on the code": {sendError(500, "invalid_grant"), upstream.ReasonUnavailable, "status 500"},
		"throttled":           {sendError(429, "invalid_client"), upstream.ReasonUnavailable, "status 429"},
		"401 page":            {send(401, "text/html", theAccess), upstream.ReasonMisconfigured, "status 401"},
		"404 page":            {send(404, "text/html", theAccess), upstream.ReasonMisconfigured, "status 404"},
		"403 page":            {send(403, "text/html", theAccess), upstream.ReasonUnavailable, "status 403"},
		"502 page":            {send(502, "text/html", theAccess), upstream.ReasonUnavailable, "status 502"},
		"200 page":            {send(200, "text/html", "<html>"+theAccess), upstream.ReasonUnavailable, "no token"},
		"redirect":            {redirect("http://169.254.169.254/latest/meta-data/"), upstream.ReasonUnavailable, "status 302"},
		"half":                {send(200, "application/json", `{"access_token":"`+theAccess), upstream.ReasonUnavailable, "no token"},
		"null":                {send(200, "application/json", `null`), upstream.ReasonUnavailable, "no token"},
		"a gigabyte":          {send(200, "application/json", `{"access_token":"`+strings.Repeat("a", maxBody)+`"}`), upstream.ReasonUnavailable, "no token"},
		"log forgery":         {send(400, "application/json", `{"error":"a\nlevel=ERROR"}`), upstream.ReasonUnavailable, `"a?level=ERROR"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(time.Now)
			p.routes[p.at("token")] = tc.serve
			_, err := p.signIn(t, p.connect(t))
			wantRefusal(t, err, tc.reason, tc.says)
			if p.count("token") != 1 {
				t.Errorf("the code was sent %d times", p.count("token"))
			}
			if n := len(p.requests); n != 2 {
				t.Errorf("%d requests: a redirect was followed", n)
			}
		})
	}
}

// TestRetryAfter: what a provider asks for reaches who schedules.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"":                              0,
		"30":                            30 * time.Second,
		" 30 ":                          30 * time.Second,
		"0":                             0,
		"-5":                            0,
		"soon":                          0,
		"999999":                        maxRetryAfter,
		"Wed, 25 Nov 2026 12:05:00 GMT": 5 * time.Minute,
		"Wed, 25 Nov 2026 11:00:00 GMT": 0,
		"Wed, 25 Nov 2099 12:05:00 GMT": maxRetryAfter,
	} {
		c := newClock()
		p := newProvider(c.now)
		p.routes[p.at("token")] = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", value)
			send(429, "application/json", `{"error":"slow_down"}`)(w, r)
		}
		_, err := p.signIn(t, p.connect(t))
		var r *upstream.Refusal
		if !errors.As(err, &r) || r.RetryAfter != want {
			t.Errorf("Retry-After %q is %s, want %s", value, r.RetryAfter, want)
		}
	}
}

// TestHangs: the provider accepts the connection and says nothing. A person waits, so
// the sign-in gives up after ten seconds, whichever request it is.
func TestHangs(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"discovery", "token", "keys", "userinfo"} {
		t.Run(endpoint, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newProvider(time.Now)
				delete(p.identity, "groups")
				p.routes[p.at(endpoint)] = hang
				o := p.connect(t)
				begin := time.Now()
				_, err := o.AuthCodeURL(t.Context(), upstream.AuthRequest{State: "s", Verifier: "v", RedirectURI: redirectURI})
				if err == nil {
					_, err = p.signIn(t, o)
				}
				wantRefusal(t, err, upstream.ReasonUnavailable)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the cause is lost: %v", err)
				}
				if d := time.Since(begin); d != requestTimeout {
					t.Errorf("gave up after %s", d)
				}
			})
		})
	}
}

// TestAttackSlowLoris: the provider sends a byte now and then, for ever. Each is in
// time, and the answer is not.
func TestAttackSlowLoris(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte(" ")); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	}))
	t.Cleanup(srv.Close)
	o, err := New(Config{Name: "company", Issuer: srv.URL, ClientID: theClient, HTTPClient: &http.Client{Timeout: 200 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, err = o.discovery.get(t.Context(), discoveryFresh)
	wantRefusal(t, err, upstream.ReasonUnavailable)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(begin) > 30*time.Second {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
}

// TestAttackEndlessBody: the provider sends a gigabyte, as fast as it can. It is cut
// off, and not read to any end.
func TestAttackEndlessBody(t *testing.T) {
	t.Parallel()
	written := make(chan int, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat(" ", 64<<10))
		n := 0
		for n < 1<<30 {
			m, err := w.Write(chunk)
			if n += m; err != nil {
				break
			}
		}
		written <- n
	}))
	t.Cleanup(srv.Close)
	o, err := New(Config{Name: "company", Issuer: srv.URL, ClientID: theClient})
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.discovery.get(t.Context(), discoveryFresh)
	wantRefusal(t, err, upstream.ReasonUnavailable, "longer than")
	if n := <-written; n > 64<<20 {
		t.Errorf("%d bytes were taken", n)
	}
}

// TestAttackRedirectInside: the provider redirects to an address that only we can
// reach, with the client's secret or a user's token in the request. None is followed.
func TestAttackRedirectInside(t *testing.T) {
	t.Parallel()
	reached := make(chan string, 10)
	inside := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.URL.Path }))
	t.Cleanup(inside.Close)
	for _, endpoint := range []string{"discovery", "token", "keys", "userinfo"} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			p := newProvider(time.Now)
			delete(p.identity, "groups")
			p.routes[p.at(endpoint)] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inside.URL+"/"+endpoint, status) }
			o := p.connect(t)
			_, err := o.AuthCodeURL(t.Context(), upstream.AuthRequest{State: "s", Verifier: "v", RedirectURI: redirectURI})
			if err == nil {
				_, err = p.signIn(t, o)
			}
			if err == nil {
				t.Errorf("%s redirected with %d, and the sign-in succeeded", endpoint, status)
			}
		}
	}
	select {
	case path := <-reached:
		t.Errorf("%s was followed", path)
	default:
	}
}

// TestTheBrowserGoesAway: the request's context ends, and so does the sign-in.
func TestTheBrowserGoesAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(time.Now)
		o := p.connect(t)
		callback, verifier := p.begin(t, o)
		p.routes[p.at("token")] = hang
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := o.Identify(ctx, callback, verifier, redirectURI)
		wantRefusal(t, err, upstream.ReasonUnavailable)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the cause is lost: %v", err)
		}
	})
}

// TestSignInIsBounded: every request takes nine seconds. All of them take thirty at
// most.
func TestSignInIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(time.Now)
		delete(p.identity, "groups")
		o := p.connect(t)
		callback, verifier := p.begin(t, o)
		time.Sleep(discoveryFresh)
		for _, endpoint := range []string{"discovery", "token", "keys", "userinfo"} {
			next, _ := p.standard(p.at(endpoint))
			p.routes[p.at(endpoint)] = func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(9 * time.Second)
				next(w, r)
			}
		}
		begin := time.Now()
		_, err := o.Identify(t.Context(), callback, verifier, redirectURI)
		wantRefusal(t, err, upstream.ReasonUnavailable)
		if d := time.Since(begin); d > signInTimeout+10*time.Second {
			t.Errorf("the sign-in took %s", d)
		}
	})
}
