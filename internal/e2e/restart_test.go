// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
)

// postToken asks the token endpoint as a public client does.
func postToken(ctx context.Context, g *gateway, form url.Values) (tokenSet, int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.origin+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return tokenSet{}, 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := network.RoundTrip(req)
	if err != nil {
		return tokenSet{}, 0, err
	}
	defer resp.Body.Close()
	var set tokenSet
	if resp.StatusCode == http.StatusOK {
		err = json.NewDecoder(resp.Body).Decode(&set)
	}
	return set, resp.StatusCode, err
}

func refreshForm(clientID, token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {token}}
}

// usable reports whether an access token opens the resource.
func usable(t *testing.T, g *gateway, token string) bool {
	t.Helper()
	resp, err := bearer(t.Context(), http.MethodPost, g.url, token, []byte(`{"jsonrpc":"2.0","id":1,"method":"ping"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, resp)
	return resp.StatusCode == http.StatusOK
}

// An update of the gateway is none of its users' business: the same client goes
// on with the same tokens, registration and all.
func TestRestartLogsNobodyOut(t *testing.T) {
	g := startPlain(t)
	alice := newPerson()
	c := newClient(t, alice)
	session := c.mustConnect(t, g.url, nil)
	before := whoAmI(t, session)
	g.stop()
	g.start()
	if diff := cmp.Diff(before, whoAmI(t, session)); diff != "" {
		t.Errorf("identity after the restart (-want +got):\n%s", diff)
	}
	held := c.wire.tokens()
	next, status, err := postToken(t.Context(), g, refreshForm(held[0].form.Get("client_id"), held[0].Refresh))
	if err != nil || status != http.StatusOK || !usable(t, g, next.Access) {
		t.Errorf("refresh after the restart: %d, %v", status, err)
	}
	if n := alice.signIns.Load(); n != 1 {
		t.Errorf("the person was asked %d times, want once", n)
	}
}

// A person who is at GitHub while the gateway restarts comes back to one that
// remembers.
func TestRestartDuringASignIn(t *testing.T) {
	g := startPlain(t)
	alice := newPerson()
	alice.browser.stopAt = g.origin + "/callback/"
	c := newClient(t, alice)
	if _, err := c.connect(t.Context(), g.url, nil, nil); err == nil {
		t.Fatal("connected without a callback")
	}
	g.stop()
	g.start()
	alice.browser.stopAt = redirectURI
	end, err := alice.browser.open(t.Context(), alice.lastPage.url.String())
	if err != nil {
		t.Fatal(err)
	}
	if end.url.Query().Get("code") == "" {
		t.Errorf("ended at %s with %d:\n%s", end.url, end.status, end.body)
	}
}

// A power cut right after an answer left the machine takes nothing back: what
// the client was given, works. And the token it replaced does not come back to
// life, once the new one was used.
func TestKillRightAfterATokenResponse(t *testing.T) {
	g := startPlain(t)
	c := newClient(t, newPerson())
	c.mustConnect(t, g.url, nil)
	held := c.wire.last(t)
	clientID := held.form.Get("client_id")
	for round := range 5 {
		next, status, err := postToken(t.Context(), g, refreshForm(clientID, held.Refresh))
		g.kill()
		if err != nil || status != http.StatusOK {
			t.Fatalf("round %d: refresh: %d, %v", round, status, err)
		}
		g.start()
		if !usable(t, g, next.Access) {
			t.Fatalf("round %d: the access token is gone", round)
		}
		after, status, err := postToken(t.Context(), g, refreshForm(clientID, next.Refresh))
		if err != nil || status != http.StatusOK {
			t.Fatalf("round %d: the refresh token is gone: %d, %v", round, status, err)
		}
		if after.Refresh == next.Refresh || after.Refresh == held.Refresh {
			t.Fatalf("round %d: the refresh token was not rotated", round)
		}
		held = after
	}
}

// The same for the very first token set: the code was redeemed, the answer left,
// the power went.
func TestKillRightAfterTheCodeWasRedeemed(t *testing.T) {
	g := startPlain(t)
	token := signIn(t, g)
	g.kill()
	g.start()
	if !usable(t, g, token) {
		t.Error("the access token is gone")
	}
}

// A client that lost the answer to the power cut asks again with the token it
// has, and gets the same successor: the rotation never forks (design: promises).
func TestLostAnswerIsRepeatedAfterARestart(t *testing.T) {
	g := startPlain(t)
	c := newClient(t, newPerson())
	c.mustConnect(t, g.url, nil)
	held := c.wire.last(t)
	form := refreshForm(held.form.Get("client_id"), held.Refresh)
	lost, status, err := postToken(t.Context(), g, form)
	g.kill()
	if err != nil || status != http.StatusOK {
		t.Fatalf("refresh: %d, %v", status, err)
	}
	g.start()
	again, status, err := postToken(t.Context(), g, form)
	if err != nil || status != http.StatusOK {
		t.Fatalf("repeat: %d, %v", status, err)
	}
	if again.Refresh != lost.Refresh {
		t.Error("the repeat got another successor: the family has forked")
	}
	if again.Access == lost.Access {
		t.Error("the repeat got the same access token")
	}
}

// Several processes of one client wake up with the same refresh token. All get
// served, with one successor between them, and nobody is logged out.
func TestParallelRefreshHasOneSuccessor(t *testing.T) {
	g := startPlain(t)
	c := newClient(t, newPerson())
	c.mustConnect(t, g.url, nil)
	held := c.wire.last(t)
	form := refreshForm(held.form.Get("client_id"), held.Refresh)
	const n = 8
	results := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			set, status, err := postToken(t.Context(), g, form)
			results[i] = fmt.Sprintf("%s %d %v", set.Refresh, status, err)
			if !usable(t, g, set.Access) {
				results[i] += " unusable"
			}
		})
	}
	wg.Wait()
	for _, r := range results {
		if r != results[0] || !strings.HasSuffix(r, " 200 <nil>") {
			t.Fatalf("the answers differ: %d kinds", len(results))
		}
	}
}

// A restart with the policy changed: who is no longer allowed stays out, with
// the token that was good a moment ago.
func TestPolicyOfTheNewConfigurationCounts(t *testing.T) {
	backend := serveBackend(t, testmcp.Stateless(testmcp.NewServer()))
	g := startGateway(t, config{backend: backend})
	token := signIn(t, g)
	if !usable(t, g, token) {
		t.Fatal("not usable to begin with")
	}
	g.stop()
	g.configure(config{backend: backend, gateway: []string{"allow user:somebody-else"}})
	g.start()
	resp, err := bearer(t.Context(), http.MethodPost, g.url, token, []byte(`{}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %d, want 403", resp.StatusCode)
	}
	g.stop()
	g.configure(config{backend: backend})
	g.start()
	if !usable(t, g, token) {
		t.Error("the grant did not survive: a policy is not a revocation")
	}
}
