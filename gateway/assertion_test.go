// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// All that a backend is told, golden: backends are written against it.
func TestAssertionClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	claims, err := w.strictBackend(resource).verify(t, w.asserted("/mcp", w.issue().token))
	if err != nil {
		t.Fatal(err)
	}
	at := float64(w.clock.Now().Unix())
	want := map[string]any{
		"iss": issuer, "aud": resource, "sub": "github:583231", "preferred_username": "octocat",
		"email": "octocat@github.example", "groups": []any{"acme", "acme/eng"},
		"client_id": "mcpc_test", "scope": "mcp", "iat": at, "exp": at + 300,
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

// What the upstream says of a person, and what the assertion says. Unlike the headers
// it can hold every character; what it cannot write is left out.
func TestAssertionOfOddPeople(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		edit  func(*identity.Identity)
		claim string
		want  any
	}{
		{"unverified e-mail", func(i *identity.Identity) { i.EmailVerified = false }, "email", nil},
		{"no e-mail", func(i *identity.Identity) { i.Email = "" }, "email", nil},
		{"e-mail outside ASCII", func(i *identity.Identity) { i.Email = "öcto@github.example" }, "email", "öcto@github.example"},
		{"markup in a login", func(i *identity.Identity) { i.Login = `<b>"&` + "\r\n" }, "preferred_username", "<b>\"&\r\n"},
		{"login that is no text", func(i *identity.Identity) { i.Login = "a\xff" }, "preferred_username", nil},
		{"no groups", func(i *identity.Identity) { i.Groups = nil }, "groups", nil},
		{"no groups, none left out", func(i *identity.Identity) { i.Groups = []string{""} }, "groups_truncated", nil},
		{"comma in a group", func(i *identity.Identity) { i.Groups = []string{"a", "b,admins", "ä b"} }, "groups", []any{"a", "b,admins", "ä b"}},
		{"group that is no text", func(i *identity.Identity) { i.Groups = []string{"admin\xff", "a"} }, "groups", []any{"a"}},
		{"and says so", func(i *identity.Identity) { i.Groups = []string{"admin\xff", "a"} }, "groups_truncated", true},
		{"another person", func(i *identity.Identity) { i.ID = "1" }, "sub", "github:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *gateway.Config) { c.Resources[0].Policy = rules(t, "any") })
			tok := w.issue(func(g *storage.Grant) { tt.edit(&g.Identity) }).token
			claims, err := w.strictBackend(resource).verify(t, w.asserted("/mcp", tok))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, claims[tt.claim]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.claim, diff)
			}
		})
	}
}

// Somebody is in thousands of groups. The header stays below what common servers
// accept of one line, keeps whole groups in their order, and says that there are more.
func TestAssertionOfThousandsOfGroups(t *testing.T) {
	t.Parallel()
	for name, group := range map[string]func(i int) string{
		"plain":           func(i int) string { return fmt.Sprintf("acme/team-%04d", i) },
		"much to escape":  func(i int) string { return fmt.Sprintf(`"\<%d>\"`+"\x01\x02", i) },
		"outside ASCII":   func(i int) string { return fmt.Sprintf("команда-%d", i) },
		"first too large": func(i int) string { return strings.Repeat("x", max(1, 9000-i*8999)) + fmt.Sprint(i) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var groups []string
			for i := range 5000 {
				groups = append(groups, group(i))
			}
			w := newWorld(t)
			compact := w.asserted("/mcp", w.issue(func(g *storage.Grant) { g.Identity.Groups = groups }).token)
			if n := len(assertionHeader) + len(": ") + len(compact); n > 8190 || n < 7000 {
				t.Errorf("%d bytes of header", n)
			}
			claims, err := w.strictBackend(resource).verify(t, compact)
			if err != nil {
				t.Fatal(err)
			}
			kept := claims["groups"].([]any)
			first := 0
			if name == "first too large" {
				first = 1
			}
			for i, g := range kept {
				if g != groups[first+i] {
					t.Fatalf("group %d is %q", i, g)
				}
			}
			if len(kept) < 50 || claims["groups_truncated"] != true {
				t.Errorf("%d groups, truncated %v", len(kept), claims["groups_truncated"])
			}
			if n := strings.Count(w.log.String(), "groups left out of identity assertion"); n != 1 {
				t.Errorf("%d log lines", n)
			}
		})
	}
}

// Signing costs more than all else the guard does. It happens once, and then not until
// a minute before the end.
func TestAssertionIsReused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	backend := w.strictBackend(resource)
	tok := w.issue().token
	first := w.asserted("/mcp", tok)
	for range 4 {
		if w.asserted("/mcp", tok) != first {
			t.Error("signed again at once")
		}
		w.clock.Advance(59 * time.Second)
	}
	w.clock.Advance(3 * time.Second) // 239 s
	if w.asserted("/mcp", tok) != first {
		t.Error("signed again before its time")
	}
	w.clock.Advance(time.Second)
	second := w.asserted("/mcp", tok)
	if second == first {
		t.Error("a minute before the end it is not signed again")
	}
	if _, err := backend.verify(t, second); err != nil {
		t.Error(err)
	}
	// One per token: they may differ in scope.
	if w.asserted("/mcp", w.issue().token) == second {
		t.Error("two tokens share an assertion")
	}
}

// The clock of the machine is set back. An assertion of the future would be refused by
// backends, so another one is signed.
func TestAssertionAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tok := w.issue().token
	first := w.asserted("/mcp", tok)
	w.clock.Advance(-20 * time.Second)
	if w.asserted("/mcp", tok) != first {
		t.Error("signed again for a small step")
	}
	w.clock.Advance(-2 * time.Hour)
	again := w.asserted("/mcp", tok)
	if _, err := w.strictBackend(resource).verify(t, again); again == first || err != nil {
		t.Errorf("same %v, %v", again == first, err)
	}
}

// What is newly known of a person shows in the next request, whatever is left of the
// last assertion.
func TestAssertionFollowsTheFacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tok := w.issue().token
	first := w.asserted("/mcp", tok)
	w.up.change(func(i *identity.Identity) { i.Groups = []string{"acme"}; i.Login = "octocat" })
	w.browser().code(authorizeQuery(w.register(loopbackURI), loopbackURI))
	second := w.asserted("/mcp", tok)
	claims, err := w.strictBackend(resource).verify(t, second)
	if err != nil || first == second {
		t.Fatalf("%v, same %v", err, first == second)
	}
	if diff := cmp.Diff([]any{"acme"}, claims["groups"]); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

// The attack: a backend, or who has its log, sends the assertion it received on to the
// backend of another resource.
func TestAssertionIsForOneResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, guardedPair(t))
	mcp := w.asserted("/mcp", w.issue().token)
	ops := w.asserted("/ops", w.issue(func(g *storage.Grant) {
		g.Resource, g.Scopes = issuer+"/ops", []string{"ops"}
	}).token)
	for audience, want := range map[string]string{resource: mcp, issuer + "/ops": ops} {
		backend := w.strictBackend(audience)
		for _, compact := range []string{mcp, ops} {
			if _, err := backend.verify(t, compact); (err == nil) != (compact == want) {
				t.Errorf("%s: %v", audience, err)
			}
		}
	}
	// A further path is the same resource.
	if w.asserted("/sse", w.issue().token) == "" {
		t.Error("none at a further path")
	}
}

// Sixty-four first requests at once, and as many when the assertion gets old: all carry
// a good one, and one key signs them.
func TestAssertionsOfManyRequestsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tok := w.issue().token
	for round := range 3 {
		seen := make(chan string, 64)
		w.backend = func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header.Get(assertionHeader) }
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() { w.wantStatus(w.call(tok), http.StatusOK) })
		}
		wg.Wait()
		close(seen)
		backend, distinct := w.strictBackend(resource), map[string]bool{}
		for compact := range seen {
			distinct[compact] = true
			if _, err := backend.verify(t, compact); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
		if len(backend.keys) != 1 {
			t.Errorf("%d keys", len(backend.keys))
		}
		// In the first round each may have opened the token for itself. Later there are the
		// last one and the new one.
		if round > 0 && len(distinct) > 2 {
			t.Errorf("round %d: %d assertions", round, len(distinct))
		}
		w.clock.Advance(4*time.Minute + 10*time.Second)
	}
}

// No key, and no store to keep one in: the request is not sent on with plain headers
// only, which the backend could not tell from forged ones.
func TestNoAssertionNoRequest(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"Keys", "CreateKey"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *gateway.Config) {
				c.Resources = append(c.Resources, &gateway.Resource{Path: "/plain", Scopes: []string{"mcp"}, Policy: rules(t, "any")})
			})
			calls := w.countCalls()
			w.store.failOn(verb, errors.New("disk full"))
			tok := w.issue().token
			resp := w.call(tok)
			w.wantStatus(resp, http.StatusServiceUnavailable)
			if resp.Header.Get("Retry-After") == "" || calls.Load() != 0 {
				t.Errorf("Retry-After %q, %d calls", resp.Header.Get("Retry-After"), calls.Load())
			}
			w.wantStatus(w.get("/jwks"), http.StatusServiceUnavailable)
			// Where nothing is said of the caller, nothing has to be signed.
			plain := w.issue(func(g *storage.Grant) { g.Resource = issuer + "/plain" }).token
			w.wantStatus(w.do(request(http.MethodPost, "/plain", "{}", bearer(plain)...)), http.StatusAccepted)
			w.store.failOn(verb, nil)
			w.wantStatus(w.call(tok), http.StatusAccepted)
		})
	}
}

func TestIdentityHeadersOffMeansNoAssertion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) { c.Resources[0].IdentityHeaders = false })
	seen := make(chan http.Header, 1)
	w.backend = func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }
	w.wantStatus(w.call(w.issue().token, assertionHeader, "forged"), http.StatusOK)
	if got := ours(<-seen); len(got) > 0 {
		t.Errorf("the backend saw %v", got)
	}
}

// A reload makes new servers over the same state: no new key, and no sign of it to the
// backend.
func TestReloadKeepsTheSigningKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tok := w.issue().token
	backend := w.strictBackend(resource)
	if _, err := backend.verify(t, w.asserted("/mcp", tok)); err != nil {
		t.Fatal(err)
	}
	w.config.Resources = []*gateway.Resource{{
		Path: "/mcp", Scopes: []string{"mcp"}, IdentityHeaders: true, Policy: rules(t, "any"),
	}}
	w.reload()
	if _, err := backend.verify(t, w.asserted("/mcp", tok)); err != nil {
		t.Error(err)
	}
	if len(backend.keys) != 1 {
		t.Errorf("%d keys", len(backend.keys))
	}
}
