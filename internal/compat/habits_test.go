// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// habits are what clients do besides signing in, by the name in the files.
var habits = map[string]func(*replay){
	"registers twice":                       registersTwice,
	"registers again on invalid_client":     registersAgain,
	"signs in again on invalid_grant":       signsInAgain,
	"keeps a dead registration":             keepsDeadRegistration,
	"hears of a refusal":                    hearsOfRefusal,
	"opens the consent page twice":          opensTwice,
	"refreshes from several processes":      refreshesFromSeveralProcesses,
	"replays a refresh token minutes later": replaysMinutesLater,
	"refreshes weeks later":                 refreshesWeeksLater,
	"asks without its token again":          asksWithoutToken,
	"takes the server for the issuer":       takesServerForIssuer,
}

// registersTwice: both registrations are good, whichever it goes on with.
func registersTwice(r *replay) {
	r.discover()
	r.register()
	first := r.seen.Registered
	second := r.registration()
	if first.Text("client_id") == second.Text("client_id") {
		r.t.Error("two registrations share an id")
	}
	for _, reg := range []*Answer{second, first} {
		r.seen.Registered = reg
		r.authorize(r.w.browser(r.t))
		r.redeem()
		r.call(r.seen.Token, http.StatusOK)
	}
}

// registersAgain: only 401 invalid_client makes it drop what it remembers.
func registersAgain(r *replay) {
	r.connect()
	alive := r.seen.Registered
	r.seen.Registered = &Answer{Body: []byte(`{"client_id":"mcpc_AAAAAAAAAAAAAAAAAAAAAA"}`)}
	a := r.refresh(r.seen.Refreshed.Text("refresh_token"))
	if a.Status != http.StatusUnauthorized || a.Text("error") != "invalid_client" {
		r.t.Errorf("an unknown client gets %d %s", a.Status, a.Body)
	}
	r.register()
	if r.seen.Registered.Text("client_id") == alive.Text("client_id") {
		r.t.Error("the new registration is the old one")
	}
	r.authorize(r.w.browser(r.t))
	r.redeem()
	r.call(r.seen.Token, http.StatusOK)
}

// signsInAgain: only 400 invalid_grant makes it drop its tokens.
func signsInAgain(r *replay) {
	r.connect()
	last := r.seen.Refreshed.Text("refresh_token")
	r.w.clock.Advance(91 * 24 * time.Hour)
	for _, spent := range []string{last, r.seen.Token.Text("refresh_token"), "mcprt_nothing.nothing", "of another server"} {
		if a := r.refresh(spent); a.Status != http.StatusBadRequest || a.Text("error") != "invalid_grant" {
			r.t.Errorf("a spent refresh token gets %d %s", a.Status, a.Body)
		}
	}
	r.request(Request{Method: r.client.Call.Method, URL: "{url}", Header: r.client.Call.Header, Body: r.client.Call.Body, Want: http.StatusUnauthorized},
		map[string]string{"Authorization": "Bearer " + r.seen.Refreshed.Text("access_token")})
	r.authorize(r.w.browser(r.t))
	r.redeem()
	r.call(r.seen.Token, http.StatusOK)
}

// keepsDeadRegistration: it will never register by itself, so its user has to be
// told how to make it.
func keepsDeadRegistration(r *replay) {
	r.discover()
	r.seen.Registered = &Answer{Body: []byte(`{"client_id":"mcpc_AAAAAAAAAAAAAAAAAAAAAA"}`)}
	p := r.w.browser(r.t).open(r.authorizeURL())
	if p.status != http.StatusBadRequest || p.location != nil || !strings.Contains(p.text, "add it again") {
		r.t.Errorf("a forgotten client gets %d %v\n%s", p.status, p.location, p.text)
	}
}

// hearsOfRefusal: a refusal carries state and iss as an answer does, or it is taken
// for an attack.
func hearsOfRefusal(r *replay) {
	r.discover()
	r.register()
	b := r.w.browser(r.t)
	r.seen.Callback = b.decide(b.open(r.authorizeURL()), "deny").location
	if r.seen.Callback == nil || r.seen.Callback.Query().Get("error") != "access_denied" {
		r.t.Fatalf("the client hears %v", r.seen.Callback)
	}
	for _, check := range []func(*Seen) error{callbackExact, state, iss} {
		if err := check(r.seen); err != nil {
			r.t.Error(err)
		}
	}
}

// opensTwice: a browser that loads the page a second time ends nothing.
func opensTwice(r *replay) {
	r.discover()
	r.register()
	b := r.w.browser(r.t)
	first := b.open(r.authorizeURL())
	b.open(r.authorizeURL())
	r.answered(b.decide(first, "approve"))
	r.redeem()
	r.call(r.seen.Token, http.StatusOK)
}

// refreshesFromSeveralProcesses: five processes share one refresh token and notice
// its age in the same second. All go on, with the same successor.
func refreshesFromSeveralProcesses(r *replay) {
	r.connect()
	shared := r.seen.Refreshed.Text("refresh_token")
	answers := make([]*Answer, 5)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = r.refresh(shared) })
	}
	wg.Wait()
	successors := map[string]bool{}
	for _, a := range answers {
		if a.Status != http.StatusOK {
			r.t.Fatalf("refresh: %d %s", a.Status, a.Body)
		}
		successors[a.Text("refresh_token")] = true
		r.call(a, http.StatusOK)
	}
	if len(successors) != 1 {
		r.t.Errorf("%d successors of one token", len(successors))
	}
	if a := r.refresh(slices.Collect(maps.Keys(successors))[0]); a.Status != http.StatusOK {
		r.t.Errorf("the successor: %d %s", a.Status, a.Body)
	}
}

// replaysMinutesLater: it lost the answer, or another process had it, and the same
// token comes back after 7 minutes 45 seconds.
func replaysMinutesLater(r *replay) {
	r.connect()
	old := r.seen.Refreshed.Text("refresh_token")
	lost := r.refresh(old)
	r.w.clock.Advance(7*time.Minute + 45*time.Second)
	again := r.refresh(old)
	if again.Status != http.StatusOK || again.Text("refresh_token") != lost.Text("refresh_token") {
		r.t.Fatalf("the replay: %d %s", again.Status, again.Body)
	}
	r.call(again, http.StatusOK)
}

// refreshesWeeksLater: it refreshes when the person comes back, not when the token
// ends.
func refreshesWeeksLater(r *replay) {
	r.connect()
	r.w.clock.Advance(40 * 24 * time.Hour)
	a := r.refresh(r.seen.Refreshed.Text("refresh_token"))
	if a.Status != http.StatusOK {
		r.t.Fatalf("after 40 days: %d %s", a.Status, a.Body)
	}
	r.call(a, http.StatusOK)
}

// asksWithoutToken: every start begins without the token, and must cost nothing.
func asksWithoutToken(r *replay) {
	r.connect()
	r.request(*r.client.First, nil)
	r.call(r.seen.Refreshed, http.StatusOK)
}

// takesServerForIssuer: it looks below the server's URL for an authorization
// server first, and goes on only when there is clearly none.
func takesServerForIssuer(r *replay) {
	r.connect()
	for _, path := range []string{
		"/.well-known/oauth-authorization-server/mcp", "/.well-known/openid-configuration/mcp", "/mcp/.well-known/openid-configuration",
	} {
		r.request(Request{Method: http.MethodGet, URL: issuer + path, Header: map[string]string{"MCP-Protocol-Version": "2025-11-25"}, Want: http.StatusNotFound}, nil)
	}
	if a := r.refresh(r.seen.Refreshed.Text("refresh_token")); a.Status != http.StatusOK {
		r.t.Errorf("refresh: %d %s", a.Status, a.Body)
	}
}
