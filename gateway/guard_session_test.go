// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

const backendSession = "1868a90c-5e4d.4b2a"

// sessionBackend hands out one session id on every answer, and records the ids it
// is sent, under every name that folds to the header's.
func (w *world) sessionBackend() (seen func() []string) {
	var ids []string
	w.backend = func(rw http.ResponseWriter, r *http.Request) {
		ids = nil
		for name, values := range r.Header {
			if strings.EqualFold(regexp.MustCompile(`[^0-9A-Za-z]`).ReplaceAllString(name, "-"), "Mcp-Session-Id") {
				ids = append(ids, values...)
			}
		}
		rw.Header().Set("Mcp-Session-Id", backendSession)
		rw.WriteHeader(http.StatusOK)
	}
	return func() []string { return ids }
}

func (w *world) openSession(tok string) string {
	w.t.Helper()
	resp := w.call(tok)
	id := resp.Header.Get("Mcp-Session-Id")
	if resp.StatusCode != 200 || !regexp.MustCompile(`^[\x21-\x7e]+$`).MatchString(id) {
		w.t.Fatalf("%d, session id %q", resp.StatusCode, id)
	}
	return id
}

// R10.16: the id handed out is bound, and the backend sees its own.
func TestSessionIDIsBoundToWhoItWasGivenTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := w.sessionBackend()
	tok := w.issue().token
	id := w.openSession(tok)
	if id == backendSession || !strings.HasPrefix(id, backendSession+".") {
		t.Errorf("session id %q", id)
	}
	for _, method := range []string{"POST", "GET", "DELETE"} {
		resp := w.do(request(method, "/mcp", "", append(bearer(tok), "Mcp-Session-Id", id, "MCP-Protocol-Version", "2025-11-25")...))
		if got := seen(); resp.StatusCode != 200 || len(got) != 1 || got[0] != backendSession {
			t.Errorf("%s: %d, backend saw %q", method, resp.StatusCode, got)
		}
		if again := resp.Header.Get("Mcp-Session-Id"); again != id {
			t.Errorf("%s: bound to %q, then to %q", method, id, again)
		}
	}
}

// The attack: someone signed in learns another's session id and speaks in it. 404
// is what a client takes for "start a new session".
func TestSessionOfSomebodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, guardedPair(t), func(c *gateway.Config) {
		for _, r := range c.Resources {
			r.Policy = rules(t, "any")
		}
	})
	seen := w.sessionBackend()
	mine := w.issue()
	id := w.openSession(mine.token)
	for name, tok := range map[string]issued{
		"other subject": w.issue(func(g *storage.Grant) { g.Identity.ID = "1" }),
		"other client":  w.issue(func(g *storage.Grant) { g.ClientID = "mcpc_other" }),
	} {
		resp := w.call(tok.token, "Mcp-Session-Id", id)
		if resp.StatusCode != 404 || resp.Header.Get("WWW-Authenticate") != "" || seen() != nil {
			t.Errorf("%s: %d, backend saw %q", name, resp.StatusCode, seen())
		}
	}
	ops := w.issue(func(g *storage.Grant) { g.Resource = issuer + "/ops" })
	w.wantStatus(w.do(request("POST", "/ops", "{}", append(bearer(ops.token), "Mcp-Session-Id", id)...)), 404)

	again := w.issue() // the same person signs in again with the same client
	w.wantStatus(w.call(again.token, "Mcp-Session-Id", id), 200)
	if got := seen(); len(got) != 1 || got[0] != backendSession {
		t.Errorf("backend saw %q", got)
	}
	// The also paths are the same resource.
	w.wantStatus(w.do(request("POST", "/messages", "{}", append(bearer(mine.token), "Mcp-Session-Id", id)...)), 200)
}

func TestSessionIDThatWasNotHandedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := w.sessionBackend()
	tok := w.issue().token
	id := w.openSession(tok)
	for name, bad := range map[string][]string{
		"the backend's own": {backendSession}, "without a MAC": {"1868a90c"}, "empty": {""}, "a dot": {"."},
		"empty MAC": {backendSession + "."}, "other id": {"x" + id}, "cut": {id[:len(id)-1]}, "longer": {id + "A"},
		"other last character": {id[:len(id)-1] + otherChar(id[len(id)-1])}, "padded": {id + "="}, "blank": {id + " x"},
		"bound twice": {id + "." + strings.TrimPrefix(id, backendSession+".")},
		"twice":       {id, id}, "good and own": {id, backendSession}, "MAC of another purpose": {
			backendSession + "." + token.NewRing(token.Key{1}).MAC(token.PurposeCSRF, "github:583231", "mcpc_test", resource, backendSession),
		},
	} {
		r := request("POST", "/mcp", "{}", bearer(tok)...)
		r.Header["Mcp-Session-Id"] = bad
		if resp := w.do(r); resp.StatusCode != 404 {
			t.Errorf("%s: %d, backend saw %q", name, resp.StatusCode, seen())
		}
	}
	for _, spelling := range []string{"Mcp_session_id", "MCP_SESSION_ID", "Mcp.Session.Id", "mcp~session-id", "MCP-SESSION_ID"} {
		r := request("POST", "/mcp", "{}", bearer(tok)...)
		r.Header[spelling] = []string{backendSession}
		w.wantStatus(w.do(r), 200)
		if got := seen(); len(got) > 0 {
			t.Errorf("%s: an id nobody checked reached the backend: %q", spelling, got)
		}
		r.Header["Authorization"], r.Header["Mcp-Session-Id"] = bearer(tok)[1:], []string{id}
		w.wantStatus(w.do(r), 200)
		if got := seen(); len(got) != 1 || got[0] != backendSession {
			t.Errorf("%s beside a good id: backend saw %q", spelling, got)
		}
	}
}

func otherChar(c byte) string {
	if c == 'A' {
		return "E" // differs in the bits that count, not only in the padding
	}
	return "A"
}

// R10.15: revision 2026-07-28 has no sessions; the header is ignored, not passed on.
func TestSessionIDOfAStatelessRevision(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := w.sessionBackend()
	tok := w.issue().token
	id := w.openSession(tok)
	for version, passes := range map[string]bool{
		"2026-07-28": false, "2027-01-01": false, "2025-11-25": true, "2025-06-18": true, "": true, "2026-07-27": true, "draft": true,
	} {
		resp := w.call(tok, "MCP-Protocol-Version", version, "Mcp-Session-Id", id)
		if got := seen(); resp.StatusCode != 200 || (len(got) == 1) != passes {
			t.Errorf("%q: %d, backend saw %q", version, resp.StatusCode, got)
		}
		stolen := w.call(tok, "MCP-Protocol-Version", version, "Mcp-Session-Id", backendSession)
		if want := map[bool]int{true: 404, false: 200}[passes]; stolen.StatusCode != want || !passes && len(seen()) > 0 {
			t.Errorf("%q with an unbound id: %d, backend saw %q", version, stolen.StatusCode, seen())
		}
	}
}

// A session outlives a new key, and ends with the key it was bound with.
func TestSessionAndKeyRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sessionBackend()
	grant := w.issue().grant
	id := w.openSession(w.seal(grant, w.clock.Now().Add(1e12)))
	with := func(r *token.Ring) string {
		t.Helper()
		w.state.SetRing(r)
		tok, err := r.SealAccess(token.Access{
			Issuer: issuer, GrantID: grant.ID, Subject: grant.Subject, ClientID: grant.ClientID, Resource: resource,
			Scopes: grant.Scopes, ExpiresAt: w.clock.Now().Add(1e12),
		})
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	tok := with(token.NewRing(token.Key{2}, token.Key{1}))
	resp := w.call(tok, "Mcp-Session-Id", id)
	next := resp.Header.Get("Mcp-Session-Id")
	if resp.StatusCode != 200 || next == id {
		t.Errorf("%d, bound with the old key still: %v", resp.StatusCode, next == id)
	}
	tok = with(token.NewRing(token.Key{2}))
	w.wantStatus(w.call(tok, "Mcp-Session-Id", next), 200)
	w.wantStatus(w.call(tok, "Mcp-Session-Id", id), 404)
}
