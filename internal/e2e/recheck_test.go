// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

const octocatSubject = "github:583231"

const (
	messageRevoked    = "grant revoked after a check at the provider"
	messageAllRevoked = "account revoked at the provider, all its access ended"
)

// startChecked is a gateway for the members of an organization: octocat and hubot.
func startChecked(t *testing.T, global ...string) (*gateway, *testmcp.Scripted) {
	t.Helper()
	backend := &testmcp.Scripted{}
	backend.Always(testmcp.JSON(http.StatusOK, "{}"))
	g := startGateway(t, config{
		backend: serveBackend(t, backend), global: global, gateway: []string{"allow org:github"},
	})
	g.github.AddUser(testidp.User{ID: 480938, Login: "hubot", Orgs: []string{"github"}})
	return g, backend
}

// signInAs is signInSet for another user of GitHub.
func signInAs(t *testing.T, g *gateway, id int64) tokenSet {
	t.Helper()
	g.github.SignIn(id)
	defer g.github.SignIn(testidp.Octocat().ID)
	return signInSet(t, g)
}

func leaveOrganization(s *testidp.Server) {
	s.UpdateUser(testidp.Octocat().ID, func(u *testidp.User) { u.Orgs, u.Teams = nil, nil })
}

// wantSignedOut checks that a client has lost all it had.
func wantSignedOut(t *testing.T, g *gateway, held tokenSet) {
	t.Helper()
	resp, err := bearer(t.Context(), http.MethodPost, g.url, held.Access, []byte(`{}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, resp)
	if challenge := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusUnauthorized ||
		!strings.Contains(challenge, `error="invalid_token"`) {
		t.Errorf("request: %d with challenge %q, want 401 and invalid_token", resp.StatusCode, challenge)
	}
	status, text := postForm(t, g, "/token", refreshForm(held.form.Get("client_id"), held.Refresh))
	if status != http.StatusBadRequest || !strings.Contains(text, "invalid_grant") {
		t.Errorf("refresh: %d %s, want 400 and invalid_grant", status, text)
	}
}

// wantNotAllowed checks that octocat signs in again and gets the page that says no.
func wantNotAllowed(t *testing.T, g *gateway, p *person) {
	t.Helper()
	c := newClient(t, p)
	if _, err := c.connect(t.Context(), g.url, nil, nil); !errors.Is(err, errRefused) {
		t.Fatalf("error %v, want a refusal", err)
	}
	if end := p.lastPage; end.status != http.StatusForbidden || !strings.Contains(end.body, "octocat") {
		t.Errorf("the page is %d:\n%s", end.status, end.body)
	}
	if sets := c.wire.tokens(); len(sets) > 0 {
		t.Errorf("%d token sets were issued", len(sets))
	}
}

// Somebody lost access at GitHub an hour ago, by whichever way. The first request is
// refused already, that of every program of theirs; there is nothing to refresh, the
// log says who lost what and why, and colleagues notice nothing of it.
func TestWhoLostAccessIsRefusedAtTheFirstRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		lose   func(*testidp.Server)
		reason string
	}{
		"removed from the organization": {leaveOrganization, "no_longer_allowed"},
		"account suspended": {func(s *testidp.Server) {
			s.UpdateUser(testidp.Octocat().ID, func(u *testidp.User) { u.Suspended = true })
		}, "revoked"},
		"access of the app taken back": {func(s *testidp.Server) { s.RevokeTokens(testidp.Octocat().ID) }, "revoked"},
	} {
		t.Run(name, func(t *testing.T) {
			g, _ := startChecked(t)
			laptop, phone, colleague := signInSet(t, g), signInSet(t, g), signInAs(t, g, 480938)
			g.aged(octocatSubject, time.Hour)
			tc.lose(g.github)
			wantSignedOut(t, g, laptop)
			wantSignedOut(t, g, phone)
			for _, set := range []tokenSet{laptop, phone} {
				g.mustLog(t, messageRevoked, map[string]any{
					"subject": octocatSubject, "resource": g.url, "client_id": set.form.Get("client_id"), "reason": tc.reason,
				})
			}
			if !usable(t, g, colleague.Access) {
				t.Error("the colleague lost access, too")
			}
			g.mustLogTimes(t, messageAllRevoked, map[string]int{"revoked": 1}[tc.reason])
			g.start()
			wantSignedOut(t, g, laptop)
		})
	}
}

// A client that only refreshes is looked at as well: it gets nothing new.
func TestWhoLostAccessCannotRefresh(t *testing.T) {
	g, _ := startChecked(t)
	held := signInSet(t, g)
	g.aged(octocatSubject, time.Hour)
	leaveOrganization(g.github)
	mustFail(t, g, refreshForm(held.form.Get("client_id"), held.Refresh))
	wantSignedOut(t, g, held)
	g.mustLogTimes(t, messageRevoked, 1)
}

// A browser that is signed in here gets no code without a look at GitHub: its page no
// longer says "go on as octocat", and GitHub's answer is that he is not in.
func TestWhoLostAccessGetsNoCodeFromABrowserSession(t *testing.T) {
	g, _ := startChecked(t)
	alice := newPerson()
	signInBy(t, g, alice)
	var consent string
	alice.onConsent = func(p *page) { consent = p.body }
	signInBy(t, g, alice)
	if !strings.Contains(consent, "Go on as") {
		t.Fatalf("the browser is not signed in to begin with:\n%s", consent)
	}
	g.aged(octocatSubject, time.Hour)
	leaveOrganization(g.github)
	wantNotAllowed(t, g, alice)
	if strings.Contains(consent, "Go on as") {
		t.Error("the browser session is offered without a look at GitHub")
	}
}

// Nobody has to send a request for a stream to end. GitHub fails at the moment it is
// opened, so it goes on by what was known; the next look, in the background, finds
// that he left. The colleague's stream goes on.
func TestOpenStreamEndsWithoutARequest(t *testing.T) {
	t.Parallel() // it waits for the pause after a failure
	g, backend := startChecked(t, "recheck_upstream 1m")
	held, other := signInSet(t, g), signInAs(t, g, 480938)
	g.aged(octocatSubject, time.Hour)
	g.github.Script("/user", testidp.HTML(http.StatusBadGateway))
	stream := openStream(t, g, backend, held.Access)
	stream.passes(t, "data: by what was known")
	colleague := openStream(t, g, backend, other.Access)
	leaveOrganization(g.github)
	stream.ends(t)
	colleague.passes(t, "data: still here")
	g.mustLog(t, messageRevoked, map[string]any{"subject": octocatSubject, "reason": "no_longer_allowed"})
	wantSignedOut(t, g, held)
}

// He signs in once more, in another browser, after he left: the page says no, and what
// his older programs have ends with it, long before the next check.
func TestRefusedSignInEndsOlderAccess(t *testing.T) {
	g, backend := startChecked(t)
	held := signInSet(t, g)
	stream := openStream(t, g, backend, held.Access)
	stream.passes(t, "data: before")
	leaveOrganization(g.github)
	wantNotAllowed(t, g, newPerson())
	stream.ends(t)
	wantSignedOut(t, g, held)
	g.mustLog(t, messageRevoked, map[string]any{"subject": octocatSubject, "reason": "no_longer_allowed"})
}

// GitHub keeps ten tokens per person and app, and drops one for every further one.
// Somebody connects eleven programs; an hour later all of them go on, and refresh.
func TestElevenProgramsOfOnePerson(t *testing.T) {
	g, _ := startChecked(t)
	var sets []tokenSet
	seen := map[string]bool{}
	for range 11 {
		sets = append(sets, signInSet(t, g))
		for _, token := range g.github.Tokens(testidp.Octocat().ID) {
			seen[token] = true
		}
	}
	if live := len(g.github.Tokens(testidp.Octocat().ID)); live != 10 || len(seen) != 11 {
		t.Fatalf("GitHub gave out %d tokens and keeps %d, want 11 and 10", len(seen), live)
	}
	g.aged(octocatSubject, time.Hour)
	g.github.Forget()
	for i, set := range sets {
		if !usable(t, g, set.Access) {
			t.Errorf("program %d is signed out", i+1)
		}
		if _, status, err := postToken(t.Context(), g, refreshForm(set.form.Get("client_id"), set.Refresh)); err != nil || status != http.StatusOK {
			t.Errorf("program %d cannot refresh: %d, %v", i+1, status, err)
		}
	}
	if asked := len(g.github.Requests("/user")); asked != 1 {
		t.Errorf("GitHub was asked %d times about one person, want once", asked)
	}
}
