// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

// GitHub has an incident: who was checked an hour ago works on and refreshes, and
// GitHub is not asked with every request.
func TestIncidentAtGitHubLogsNobodyOut(t *testing.T) {
	for name, fault := range map[string]testidp.Fault{
		"unicorn":      testidp.HTML(http.StatusBadGateway),
		"reset":        testidp.Reset(),
		"rate limited": testidp.RateLimited(time.Now().Add(time.Hour)),
	} {
		t.Run(name, func(t *testing.T) {
			g, _ := startChecked(t)
			held := signInSet(t, g)
			g.aged(octocatSubject, time.Hour)
			g.github.Forget()
			g.github.Fail("/user", fault)
			const requests = 30
			for i := range requests {
				if !usable(t, g, held.Access) {
					t.Fatalf("request %d was refused", i+1)
				}
			}
			next, status, err := postToken(t.Context(), g, refreshForm(held.form.Get("client_id"), held.Refresh))
			if err != nil || status != http.StatusOK || !usable(t, g, next.Access) {
				t.Errorf("refresh: %d, %v", status, err)
			}
			if asked := len(g.github.Requests("/user")); asked == 0 || asked >= requests {
				t.Errorf("GitHub was asked %d times for %d requests", asked, requests)
			}
			g.mustLog(t, "no answer about the account, what was known before holds", map[string]any{"subject": octocatSubject})
			g.mustLogTimes(t, messageRevoked, 0)
		})
	}
}

// After a day without an answer nobody vouches for him any more. That is the
// gateway's trouble and no logout: 503, and the same tokens work once GitHub answers.
func TestIncidentOfMoreThanADay(t *testing.T) {
	t.Parallel() // it waits for the pause after a failure
	g, backend := startChecked(t)
	held := signInSet(t, g)
	g.aged(octocatSubject, 25*time.Hour)
	g.github.Fail("/user", testidp.HTML(http.StatusBadGateway))
	arrived := len(backend.Requests())
	resp, err := bearer(t.Context(), http.MethodPost, g.url, held.Access, []byte(`{}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, resp)
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); resp.StatusCode != http.StatusServiceUnavailable || err != nil || seconds <= 0 {
		t.Errorf("request: %d with Retry-After %q, want 503", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	if challenge := resp.Header.Get("WWW-Authenticate"); challenge != "" {
		t.Errorf("the client is told to sign in: %q", challenge)
	}
	form := refreshForm(held.form.Get("client_id"), held.Refresh)
	status, text := postForm(t, g, "/token", form)
	if status != http.StatusServiceUnavailable || !strings.Contains(text, "temporarily_unavailable") {
		t.Errorf("refresh: %d %s", status, text)
	}
	if n := len(backend.Requests()); n != arrived {
		t.Errorf("%d requests reached the backend", n-arrived)
	}
	g.github.Heal()
	eventually(t, "the end of the outage", func() bool { return usable(t, g, held.Access) })
	if _, status, err := postToken(t.Context(), g, form); err != nil || status != http.StatusOK {
		t.Errorf("refresh after the outage: %d, %v", status, err)
	}
}

// GitHub answers again within the outage, and says that he left meanwhile.
func TestLeftDuringAnIncident(t *testing.T) {
	t.Parallel() // it waits for the pause after a failure
	g, _ := startChecked(t)
	held := signInSet(t, g)
	g.aged(octocatSubject, time.Hour)
	g.github.Fail("/user", testidp.HTML(http.StatusBadGateway))
	if !usable(t, g, held.Access) {
		t.Fatal("refused during the incident")
	}
	leaveOrganization(g.github)
	g.github.Heal()
	eventually(t, "the end of his access", func() bool { return !usable(t, g, held.Access) })
	wantSignedOut(t, g, held)
}

// There is no token to ask with, as after a restore of a store whose key is lost.
// What was known holds for a day. Then the client has to sign in again, which it does
// by itself, and goes on.
func TestWithoutATokenAnotherSignInHeals(t *testing.T) {
	g := startGateway(t, config{
		backend: serveBackend(t, testmcp.Stateless(testmcp.NewServer())), gateway: []string{"allow org:github"},
	})
	alice := newPerson()
	c := newClient(t, alice)
	session := c.mustConnect(t, g.url, nil)
	before := whoAmI(t, session)
	held := c.wire.last(t)
	g.aged(octocatSubject, time.Hour, dropToken)
	if !usable(t, g, held.Access) {
		t.Error("refused within the outage")
	}
	g.aged(octocatSubject, 24*time.Hour)
	wantSignedOut(t, g, held)
	if after := whoAmI(t, session); after.User != before.User || after.Groups != before.Groups {
		t.Errorf("after the sign-in the backend sees %+v, before %+v", after, before)
	}
	if n := alice.signIns.Load(); n != 2 {
		t.Errorf("the person was asked %d times, want twice", n)
	}
	// From here on there is something to ask with.
	g.aged(octocatSubject, time.Hour)
	leaveOrganization(g.github)
	wantSignedOut(t, g, c.wire.last(t))
}
