// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A load balancer knows no sessions: every request of a sign-in may end up somewhere
// else, and every gateway has to know what the others did a moment ago.
func TestEveryStepOnAnotherGateway(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, start func(*testing.T) store) {
		c := startCluster(t, start(t), options{})
		t.Run("the story of the issue", func(t *testing.T) { stepByStep(t, c) })
		t.Run("whoever has its turn", func(t *testing.T) { roundRobin(t, c) })
		t.Run("one browser session", func(t *testing.T) { oneBrowser(t, c) })
		t.Run("one code, one token set", func(t *testing.T) { codeRace(t, c) })
		t.Run("one successor", func(t *testing.T) { refreshRace(t, c) })
		t.Run("one set of keys", func(t *testing.T) { sameKeys(t, c) })
	})
}

// stepByStep is registered on C, begun on A, called back on B, redeemed on C, and
// refreshed everywhere.
func stepByStep(t *testing.T, c *cluster) {
	split := func(path string) string {
		switch {
		case strings.HasPrefix(path, "/authorize"):
			return "A"
		case strings.HasPrefix(path, "/callback/"):
			return "B"
		}
		return "C"
	}
	alice := c.mustRegister(t, split)
	got := alice.mustSignIn(t)
	for _, name := range names {
		alice = alice.via(at(name))
		alice.mustGet(t, got.Access, http.StatusOK)
		next, a, err := alice.refresh(t.Context(), got.Refresh)
		if err != nil || a.status != http.StatusOK || next.Refresh == got.Refresh {
			t.Fatalf("refresh on %s: %d, %v, a new token: %v", name, a.status, err, next.Refresh != got.Refresh)
		}
		alice.mustGet(t, got.Access, http.StatusOK)
		alice.mustGet(t, next.Access, http.StatusOK)
		got = next
	}
	sameSession(t, alice, got.Access)
}

// A session that the backend began through A goes on through the others, and is the
// person's: the id that clients see is bound to them (R10.16).
func sameSession(t *testing.T, alice client, access string) {
	t.Helper()
	a, err := alice.via(at("A")).call(t.Context(), access)
	session := a.header.Get("Mcp-Session-Id")
	if err != nil || session == "" || session == backendSession {
		t.Fatalf("A handed out session %q, %v, want one that is bound", session, err)
	}
	want := `{"user":"github:583231","session":"` + backendSession + `"}`
	for _, name := range names {
		a, err := alice.via(at(name)).callIn(t.Context(), access, session)
		if err != nil || string(a.body) != want {
			t.Errorf("through %s the backend was told %s, want %s; %d, %v", name, a.body, want, a.status, err)
		}
	}
}

func roundRobin(t *testing.T, c *cluster) {
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			bob, a, err := c.newClient().register(t.Context())
			if err != nil || a.status != http.StatusCreated {
				t.Errorf("register: %d, %v", a.status, err)
				return
			}
			code, stop, err := bob.signIn(t.Context())
			if err != nil || code == "" {
				t.Errorf("the sign-in ended at %v, %v", stop, err)
				return
			}
			got, a, err := bob.redeem(t.Context(), code)
			if err != nil || a.status != http.StatusOK {
				t.Errorf("redeem: %d, %v", a.status, err)
				return
			}
			for range 4 {
				if a, err := bob.call(t.Context(), got.Access); err != nil || a.status != http.StatusOK {
					t.Errorf("call: %d, %v", a.status, err)
				}
				if got, a, err = bob.refresh(t.Context(), got.Refresh); err != nil || a.status != http.StatusOK {
					t.Errorf("refresh: %d, %v", a.status, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// Who is signed in on one gateway is so on all: the second client needs no GitHub.
// And who signs out on one has done so on all.
func oneBrowser(t *testing.T, c *cluster) {
	alice := c.mustRegister(t, at("A"))
	alice.mustSignIn(t)
	before := len(c.github.Requests())
	other, a, err := alice.via(at("B")).register(t.Context())
	if err != nil || a.status != http.StatusCreated {
		t.Fatalf("register: %d, %v", a.status, err)
	}
	other.mustSignIn(t)
	if n := len(c.github.Requests()); n != before {
		t.Errorf("GitHub got %d requests for somebody who is signed in", n-before)
	}
	fields := signOutForm(t, other.via(at("C")))
	if a, err := other.via(at("C")).submit(t.Context(), "/signout", fields); err != nil || a.status >= 400 {
		t.Fatalf("sign out: %d, %v", a.status, err)
	}
	other.via(at("A")).mustSignIn(t)
	if len(c.github.Requests()) == before {
		t.Error("still signed in on A after signing out on C")
	}
}

// A thief has seen the code and is as fast as the client: one of them gets tokens,
// and then nobody has any (RFC 6749 §4.1.2).
func codeRace(t *testing.T, c *cluster) {
	for range 5 {
		alice := c.mustRegister(t, at("A"))
		code, stop, err := alice.signIn(t.Context())
		if err != nil || code == "" {
			t.Fatalf("the sign-in ended at %v, %v", stop, err)
		}
		got := make(chan tokens, 2*len(names))
		var all sync.WaitGroup
		for i := range cap(got) {
			all.Go(func() {
				set, a, err := alice.via(at(names[i%len(names)])).redeem(t.Context(), code)
				if err != nil || a.status != http.StatusOK && a.status != http.StatusBadRequest {
					t.Errorf("redeem: %d, %v", a.status, err)
				}
				if a.status == http.StatusOK {
					got <- set
				}
			})
		}
		all.Wait()
		close(got)
		if len(got) != 1 {
			t.Fatalf("the code was redeemed %d times, want once", len(got))
		}
		set := <-got
		for _, name := range names {
			took := eventually(t, "the end of a grant whose code was stolen", func() bool {
				return alice.via(at(name)).status(t, set.Access) == http.StatusUnauthorized
			})
			within(t, "the stolen grant", name, took)
			if _, a, err := alice.via(at(name)).refresh(t.Context(), set.Refresh); err != nil || a.status != http.StatusBadRequest {
				t.Errorf("refresh on %s after the theft: %d, %v", name, a.status, err)
			}
		}
	}
}

// Several processes of one client wake up with the same token, and the load balancer
// spreads them: all get the same successor, and nobody is logged out.
func refreshRace(t *testing.T, c *cluster) {
	alice := c.mustRegister(t, at("A"))
	held := alice.mustSignIn(t)
	for round := range 5 {
		got := make(chan tokens, 3*len(names))
		var all sync.WaitGroup
		for i := range cap(got) {
			all.Go(func() {
				on := alice.via(at(names[i%len(names)]))
				set, a, err := on.refresh(t.Context(), held.Refresh)
				if err != nil || a.status != http.StatusOK {
					t.Errorf("round %d: refresh: %d, %v", round, a.status, err)
					return
				}
				if a, err := on.call(t.Context(), set.Access); err != nil || a.status != http.StatusOK {
					t.Errorf("round %d: call: %d, %v", round, a.status, err)
				}
				got <- set
			})
		}
		all.Wait()
		close(got)
		if len(got) == 0 {
			t.Fatal("nobody was served")
		}
		next := <-got
		for other := range got {
			if other.Refresh != next.Refresh {
				t.Fatalf("round %d: the family has forked", round)
			}
		}
		held = next
	}
}

// What one gateway signs, backends check with the keys of another.
func sameKeys(t *testing.T, c *cluster) {
	alice := c.mustRegister(t, at("A"))
	held := alice.mustSignIn(t)
	keys := func(name string) []byte {
		alice.via(at(name)).mustGet(t, held.Access, http.StatusOK)
		a, err := alice.via(at(name)).send(t.Context(), http.MethodGet, "/jwks", nil, http.Header{})
		if err != nil || a.status != http.StatusOK {
			t.Fatalf("keys of %s: %d, %v", name, a.status, err)
		}
		return a.body
	}
	first := keys("A")
	if !bytes.Contains(first, []byte(`"kid"`)) {
		t.Fatalf("no keys: %s", first)
	}
	for _, name := range names {
		if diff := cmp.Diff(string(first), string(keys(name))); diff != "" {
			t.Errorf("keys of A and %s (-A +%s):\n%s", name, name, diff)
		}
	}
}
