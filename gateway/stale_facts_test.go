// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Somebody is removed from the organization. They sign in again, with another
// client, and are refused; the grant of their first client, made when they were a
// member, must be refused from that moment too.
func TestRefusedSignInEndsOlderGrantsOfThePerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) { c.Resources[0].Policy = rules(t, "org:acme") })
	_, tok := w.tokens()
	if resp := w.call(tok.AccessToken); resp.StatusCode != http.StatusOK {
		t.Fatalf("member: %d", resp.StatusCode)
	}
	left := octocat()
	left.Groups = nil
	w.up.identity = left
	if resp := w.browser().signIn(authorizeQuery(w.register(loopbackURI), loopbackURI)); resp.StatusCode != http.StatusForbidden {
		t.Fatalf("signed in again after leaving: %d", resp.StatusCode)
	}
	if resp := w.call(tok.AccessToken); resp.StatusCode != http.StatusForbidden {
		t.Errorf("the older grant still works: %d", resp.StatusCode)
	}
}

// A stranger who is refused must not leave a record: anybody with an account at
// the upstream could fill the store.
func TestRefusedStrangerLeavesNoAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) { c.Resources[0].Policy = rules(t, "org:other") })
	if resp := w.browser().signIn(authorizeQuery(w.register(loopbackURI), loopbackURI)); resp.StatusCode != http.StatusForbidden {
		t.Fatalf("stranger: %d", resp.StatusCode)
	}
	if _, err := w.store.Account(t.Context(), octocat().Subject()); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("account of a refused stranger: %v, want not found", err)
	}
}

// A reload, rules about an organization giving way to one about the login. What a
// sign-in looks up no longer has groups in it, while the streams are still judged by
// other rules: that is no loss at the provider, and costs nobody a grant. In the other
// direction the sign-in began before the reload and ends after it.
func TestSignInIsJudgedByTheRulesItLookedUpFor(t *testing.T) {
	t.Parallel()
	bare := octocat()
	bare.Groups = nil
	byOrg, byLogin := rules(t, "org:acme"), rules(t, "user:octocat")
	for name, tc := range map[string]struct{ served, judge *policy.Policy }{
		"during a reload": {byLogin, byOrg},
		"no reload":       {byLogin, byLogin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *gateway.Config) {
				c.Resources[0].Policy = tc.served
				c.Allowed = func(_ string, id identity.Identity) bool { return tc.served.Allows(id) }
			})
			w.state.SetJudge(func(_ string, id identity.Identity) bool { return tc.judge.Allows(id) })
			_, tok := w.tokens()
			w.up.identity = bare
			w.browser().code(authorizeQuery(w.register(loopbackURI), loopbackURI))
			if resp := w.call(tok.AccessToken); resp.StatusCode != http.StatusOK {
				t.Errorf("the older grant: %d", resp.StatusCode)
			}
		})
	}
}
