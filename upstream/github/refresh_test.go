// SPDX-License-Identifier: Apache-2.0

package github

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const tokenPage = "/login/oauth/access_token"

func TestTokenOfASignIn(t *testing.T) {
	t.Parallel()
	oauth := signedIn(t)
	want := &upstream.Token{Access: oauth.srv.Tokens(583231)[0], Scope: "read:org,read:user,user:email"}
	if diff := cmp.Diff(want, oauth.tok); diff != "" {
		t.Error(diff)
	}
	a := signedIn(t, app)
	want = &upstream.Token{Access: a.srv.Tokens(583231)[0], Refresh: a.srv.RefreshTokens(583231)[0], Expiry: a.clock.now.Add(8 * time.Hour)}
	if diff := cmp.Diff(want, a.tok); diff != "" {
		t.Error(diff)
	}
	kept := signedIn(t, app, func(c *testidp.Config) { c.KeepTokens = true })
	if kept.tok.Refresh != "" || !kept.tok.Expiry.IsZero() {
		t.Errorf("a token that stays: refresh %v, expiry %s", kept.tok.Refresh != "", kept.tok.Expiry)
	}
}

// TestCheckRenews what has ended or is about to, keeps the new token before it is
// used, and does not renew what is good.
func TestCheckRenews(t *testing.T) {
	t.Parallel()
	a := signedIn(t, app)
	for i, step := range []struct {
		wait  time.Duration
		saves int
	}{{7 * time.Hour, 0}, {time.Hour - time.Minute, 1}, {7 * time.Hour, 1}, {1000 * time.Hour, 2}} {
		a.clock.move(step.wait)
		a.holds("github", "github/cats")
		if a.saves != step.saves {
			t.Fatalf("step %d: %d tokens saved, want %d", i, a.saves, step.saves)
		}
	}
	if diff := cmp.Diff([]string{a.tok.Access}, a.srv.Tokens(583231)); diff != "" {
		t.Errorf("the newest is not the one that was saved: %s", diff)
	}
}

// TestSavedBeforeUsed, and if it could not be, not used at all.
func TestSavedBeforeUsed(t *testing.T) {
	t.Parallel()
	a := signedIn(t, app)
	a.clock.move(9 * time.Hour)
	full := errors.New("disk full")
	_, err := a.g.Check(t.Context(), a.last, a.tok, func(tok *upstream.Token) error {
		if calls := a.apiCalls(); len(calls) != 0 || tok.Access == a.tok.Access {
			t.Errorf("saved after %q", calls)
		}
		return full
	})
	wantRefusal(t, err, upstream.ReasonUnavailable, "could not be kept")
	if calls := a.apiCalls(); !errors.Is(err, full) || len(calls) != 0 {
		t.Errorf("error %v, calls %q", err, calls)
	}
}

// TestEndedBeforeItsTime: our clock is behind, or GitHub dropped the eleventh
// token. The refresh token is good, so the user is.
func TestEndedBeforeItsTime(t *testing.T) {
	t.Parallel()
	a := signedIn(t, app)
	a.holds("github", "github/cats")
	a.srv.ExpireTokens(583231)
	a.holds("github", "github/cats")
	if n := len(a.srv.Requests(tokenPage)); a.saves != 1 || n != 1 {
		t.Errorf("%d tokens saved, %d token requests", a.saves, n)
	}
	a.srv.Fail("/user", testidp.Status(401, "Bad credentials"))
	a.refused(upstream.ReasonRevoked) // also with the new token
	if n := len(a.srv.Requests(tokenPage)); n != 2 {
		t.Errorf("%d token requests; one per check", n)
	}
}

// TestRenewedAndStillRefused: a renewed token that GitHub does not take either is
// not renewed again and again.
func TestRenewedAndStillRefused(t *testing.T) {
	t.Parallel()
	a := signedIn(t, app)
	a.clock.move(9 * time.Hour)
	a.srv.Fail("/user", testidp.Status(401, "Bad credentials"))
	a.refused(upstream.ReasonRevoked, "status 401")
	if n := len(a.srv.Requests(tokenPage)); n != 1 || a.saves != 1 {
		t.Errorf("%d token requests, %d saves", n, a.saves)
	}
}

// TestExpiredWithoutRefreshToken: the app opted in to tokens that end while this
// one was about.
func TestExpiredWithoutRefreshToken(t *testing.T) {
	t.Parallel()
	a := signedIn(t, app)
	a.tok.Refresh = ""
	a.clock.move(9 * time.Hour)
	a.refused(upstream.ReasonSignInNeeded, "no refresh token")
	_, err := a.g.Refresh(t.Context(), nil)
	wantRefusal(t, err, upstream.ReasonSignInNeeded)
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	a := signedIn(t, app)
	old := *a.tok
	fresh, err := a.g.Refresh(t.Context(), a.tok)
	if err != nil {
		t.Fatal(err)
	}
	want := &upstream.Token{Access: a.srv.Tokens(583231)[0], Refresh: a.srv.RefreshTokens(583231)[0], Expiry: a.clock.now.Add(8 * time.Hour)}
	if diff := cmp.Diff(want, fresh); diff != "" || fresh.Access == old.Access || fresh.Refresh == old.Refresh {
		t.Error(diff)
	}
	if diff := cmp.Diff(old, *a.tok); diff != "" {
		t.Errorf("the caller's token was changed: %s", diff)
	}
	_, err = a.g.Refresh(t.Context(), &old)
	wantRefusal(t, err, upstream.ReasonRevoked, "bad_refresh_token")
	form := a.srv.Requests(tokenPage)[0].Form
	if form.Get("grant_type") != "refresh_token" || form.Get("client_secret") != a.srv.ClientSecret() {
		t.Errorf("%d parameters", len(form))
	}
}

func TestRefreshRefusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault testidp.Fault
		want  upstream.Reason
		says  string
		retry time.Duration
	}{
		"bad refresh token": {testidp.ErrorAs200("bad_refresh_token", leak), upstream.ReasonRevoked, "bad_refresh_token", 0},
		"as the RFC has it": {testidp.Raw(400, "application/json", `{"error":"invalid_grant"}`), upstream.ReasonRevoked, "invalid_grant", 0},
		"bad secret":        {testidp.ErrorAs200("incorrect_client_credentials", leak), upstream.ReasonMisconfigured, "incorrect_client_credentials", 0},
		"unknown client":    {testidp.Raw(404, "application/json", `{"error":"Not Found"}`), upstream.ReasonMisconfigured, "Not Found", 0},
		"app suspended":     {testidp.ErrorAs200("application_suspended", "d"), upstream.ReasonMisconfigured, "application_suspended", 0},
		"wrong kind of app": {testidp.ErrorAs200("unsupported_grant_type", "d"), upstream.ReasonMisconfigured, "unsupported_grant_type", 0},
		"unknown error":     {testidp.ErrorAs200("brand_new", "d"), upstream.ReasonUnavailable, "brand_new", 0},
		"limit":             {testidp.TooManyRequests(7 * time.Second), upstream.ReasonUnavailable, "status 429", 7 * time.Second},
		"bad gateway":       {testidp.HTML(502), upstream.ReasonUnavailable, "status 502", 0},
		"html":              {testidp.HTML(200), upstream.ReasonUnavailable, "no token", 0},
		"no token":          {testidp.JSON(`{}`), upstream.ReasonUnavailable, "no token", 0},
		"half":              {testidp.JSON(`{"access_token":"` + leak), upstream.ReasonUnavailable, "no token", 0},
		"mac token":         {testidp.JSON(`{"access_token":"` + leak + `","token_type":"mac"}`), upstream.ReasonUnavailable, "not bearer", 0},
		"header injection":  {testidp.JSON(`{"access_token":"x","refresh_token":"` + leak + `\r\n","token_type":"bearer"}`), upstream.ReasonUnavailable, "cannot be sent", 0},
		"redirect":          {testidp.Redirect("https://evil.example/"), upstream.ReasonUnavailable, "status 302", 0},
		"reset":             {testidp.Reset(), upstream.ReasonUnavailable, "token request", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := signedIn(t, app)
			a.srv.Fail(tokenPage, tc.fault)
			a.clock.move(9 * time.Hour)
			r := a.refused(tc.want, tc.says)
			keepsSecret(t, r, leak, a.tok.Refresh)
			if r.RetryAfter != tc.retry {
				t.Errorf("to be asked again in %s", r.RetryAfter)
			}
			if calls := a.apiCalls(); len(calls) != 0 || a.saves != 0 {
				t.Errorf("calls %q and %d saves with a token that has ended", calls, a.saves)
			}
		})
	}
}

// TestOddLifetimes are taken for not saying when the token ends.
func TestOddLifetimes(t *testing.T) {
	t.Parallel()
	for expiresIn, want := range map[string]time.Duration{
		`28800`: 8 * time.Hour, `"28800"`: 8 * time.Hour, `0`: 0, `-5`: 0, `null`: 0,
	} {
		a := signedIn(t, app)
		a.srv.Fail(tokenPage, testidp.JSON(`{"access_token":"ghu_new","token_type":"bearer","refresh_token":"ghr_new","expires_in":`+expiresIn+`}`))
		fresh, err := a.g.Refresh(t.Context(), a.tok)
		if err != nil {
			t.Errorf("%s: %v", expiresIn, err)
			continue
		}
		if got := fresh.Expiry; want == 0 && !got.IsZero() || want != 0 && !got.Equal(a.clock.now.Add(want)) {
			t.Errorf("%s: ends %s", expiresIn, got)
		}
	}
}

// TestRefreshesAtOnceShareOne: a check and the proxy find the token at its end in
// the same second. GitHub takes the refresh token once; a second try would look
// like the user having revoked it.
func TestRefreshesAtOnceShareOne(t *testing.T) {
	t.Parallel()
	a := signedIn(t, app)
	arrived, release := make(chan struct{}, 8), make(chan struct{})
	a.srv.Fail(tokenPage, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		arrived <- struct{}{}
		testidp.Hang(release)(w, r, next)
	})
	var wg sync.WaitGroup
	got := make([]*upstream.Token, 8)
	for i := range got {
		wg.Go(func() {
			tok, err := a.g.Refresh(t.Context(), a.tok)
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = tok
		})
	}
	<-arrived
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	wg.Wait()
	for i, tok := range got {
		if tok == nil || tok.Access != got[0].Access || i > 0 && tok == got[0] {
			t.Errorf("caller %d got another token, or the same value", i)
		}
	}
}

// TestRefreshOutlivesItsCaller: the request that waited for the check goes away
// while GitHub answers. The new token is the only one there is, and is kept.
func TestRefreshOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	a := signedIn(t, app)
	a.clock.move(9 * time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	a.srv.Script(tokenPage, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		cancel()
		next.ServeHTTP(w, r)
	})
	_, err := a.g.Check(ctx, a.last, a.tok, func(tok *upstream.Token) error {
		a.tok, a.saves = tok, a.saves+1
		return nil
	})
	wantRefusal(t, err, upstream.ReasonUnavailable)
	if a.saves != 1 {
		t.Fatalf("%d tokens saved", a.saves)
	}
	a.holds("github", "github/cats")
}
