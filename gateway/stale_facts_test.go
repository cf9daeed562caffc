// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
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
