// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// storeStep is one request of a flow that reaches the store, ready to be sent.
type storeStep struct {
	name  string
	verbs []string
	page  bool
	// prepare goes as far as the request and returns it. Sending it again after
	// the store is back must work.
	prepare func(w *world) func() *http.Response
	good    int
}

var storeSteps = []storeStep{
	{
		name: "register", verbs: []string{"CreateClient"}, good: http.StatusCreated,
		prepare: func(w *world) func() *http.Response {
			return func() *http.Response { return w.postJSON(oauth.PathRegister, mcpClients[0].body) }
		},
	},
	{
		name: "authorize", verbs: []string{"Client"}, page: true, good: http.StatusOK,
		prepare: func(w *world) func() *http.Response {
			b, id := w.browser(), w.register(webURI)
			return func() *http.Response { return b.get(oauth.PathAuthorize + "?" + authorizeQuery(id, webURI).Encode()) }
		},
	},
	{
		name: "approve", verbs: []string{"Client", "CreatePending"}, page: true, good: http.StatusSeeOther,
		prepare: func(w *world) func() *http.Response {
			b := w.browser()
			action, fields := b.open(authorizeQuery(w.register(webURI), webURI))
			return func() *http.Response { return b.approve(action, fields) }
		},
	},
	{
		// Reading, not taking: the sign-in must survive.
		name: "callback", verbs: []string{"Pending", "TakePending"}, page: true, good: http.StatusSeeOther,
		prepare: func(w *world) func() *http.Response {
			b, _, state := w.begun(webURI)
			return func() *http.Response { return b.callback(state) }
		},
	},
	{
		name: "redeem", verbs: []string{"Client", "Grant", "Account", "RedeemCode"}, good: http.StatusOK,
		prepare: func(w *world) func() *http.Response {
			id := w.register(loopbackURI)
			f := codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI)))
			return func() *http.Response { return w.postForm(oauth.PathToken, f) }
		},
	},
	{
		name: "refresh", verbs: []string{"Client", "Grant", "Account", "RotateRefresh"}, good: http.StatusOK,
		prepare: func(w *world) func() *http.Response {
			id, tok := w.tokens()
			return func() *http.Response { return w.postForm(oauth.PathToken, refreshForm(id, tok.RefreshToken)) }
		},
	},
	{
		name: "revoke access", verbs: []string{"Client", "RevokeGrant"}, good: http.StatusOK,
		prepare: func(w *world) func() *http.Response {
			id, tok := w.tokens()
			return func() *http.Response { return w.postForm(oauth.PathRevoke, tokenForm(id, tok.AccessToken)) }
		},
	},
	{
		name: "revoke refresh", verbs: []string{"Client", "Grant", "RevokeGrant"}, good: http.StatusOK,
		prepare: func(w *world) func() *http.Response {
			id, tok := w.tokens()
			return func() *http.Response { return w.postForm(oauth.PathRevoke, tokenForm(id, tok.RefreshToken)) }
		},
	},
	{
		name: "read registration", verbs: []string{"Client"}, good: http.StatusOK,
		prepare: func(w *world) func() *http.Response {
			m, _ := w.registerManaged(registration(webURI))
			return func() *http.Response { return w.manage("GET", m) }
		},
	},
	{
		name: "delete registration", verbs: []string{"Client", "DeleteClient"}, good: http.StatusNoContent,
		prepare: func(w *world) func() *http.Response {
			m, _ := w.registerManaged(registration(webURI))
			return func() *http.Response { return w.manage("DELETE", m) }
		},
	},
}

// The disk is full, at every verb of every endpoint: 503 in the endpoint's own
// language, nothing acknowledged, nothing used up, and the cause in the log only
// (M-11).
func TestStoreFailures(t *testing.T) {
	t.Parallel()
	for _, step := range storeSteps {
		for _, verb := range append(step.verbs, "*") {
			t.Run(step.name+"/"+verb, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				send := step.prepare(w)
				w.store.failOn(verb, errDisk)
				for range 2 {
					resp := send()
					var text string
					if step.page {
						text = wantPage(t, resp, http.StatusServiceUnavailable, "store_unavailable")
					} else {
						text = wantError(t, resp, http.StatusServiceUnavailable, "temporarily_unavailable").Description
					}
					if strings.Contains(text, errDisk.Error()) {
						t.Errorf("the cause is shown: %s", text)
					}
				}
				if log := w.log.String(); !strings.Contains(log, errDisk.Error()) || !strings.Contains(log, `"ERROR"`) {
					t.Error("the operator is not told")
				}
				w.store.failOn(verb, nil)
				if resp := send(); resp.StatusCode != step.good {
					t.Errorf("after the store is back: %d %s", resp.StatusCode, body(t, resp))
				}
			})
		}
	}
}

// After the upstream answered, its answer is used up: a failure then ends the
// sign-in. No code was given, and none can be got from it later.
func TestStoreFailsAfterTheUpstreamAnswered(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"KeepClient", "SaveAccount", "CreateGrant"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b, _, state := w.begun(loopbackURI)
			w.store.failOn(verb, errDisk)
			wantPage(t, b.callback(state), http.StatusServiceUnavailable, "store_unavailable")
			w.store.failOn(verb, nil)
			wantPage(t, b.callback(state), http.StatusBadRequest, "flow_expired")
		})
	}
}

// The replay of a code is noticed but cannot be recorded: no answer is given as
// if it had been, and the next replay revokes.
func TestReplayWhileTheStoreFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register(loopbackURI)
	f := codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI)))
	tok := w.redeem(f)
	w.store.failOn("RevokeGrant", errDisk)
	wantError(t, w.postForm(oauth.PathToken, f), http.StatusServiceUnavailable, "temporarily_unavailable")
	w.store.failOn("RevokeGrant", nil)
	wantError(t, w.postForm(oauth.PathToken, f), http.StatusBadRequest, "invalid_grant")
	w.wantCall("/mcp", tok.AccessToken, http.StatusUnauthorized)
}

// A store that is closed, as while the process ends, is a store that is away.
func TestClosedStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tok := w.tokens()
	if err := w.state.Close(); err != nil {
		t.Fatal(err)
	}
	wantError(t, w.postForm(oauth.PathToken, refreshForm(id, tok.RefreshToken)), http.StatusServiceUnavailable, "temporarily_unavailable")
	wantPage(t, w.get(oauth.PathAuthorize+"?"+authorizeQuery(id, loopbackURI).Encode()), http.StatusServiceUnavailable, "store_unavailable")
}

// Whatever is wrong in there, the answer is a plain 500 and the process goes on
// (M-41). A handler's wish to drop the connection is not a bug.
func TestPanicInAnEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, _, state := w.begun(loopbackURI)
	w.config.ClientAddr = func(*http.Request) string { panic("a bug") }
	w.reload()
	resp := w.get(oauth.PathAuthorize + "?client_id=x")
	if resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("status %d", resp.StatusCode)
	}
	if text := body(t, resp); strings.Contains(text, "a bug") {
		t.Errorf("the bug is shown: %s", text)
	}
	location(t, b.callback(state))
}
