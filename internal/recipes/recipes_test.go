// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRecipes(t *testing.T) {
	t.Parallel()
	for name, build := range recipes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := build(t)
			t.Run("accepts exactly the good ones", p.acceptsExactlyTheGoodOnes)
			t.Run("reads the claims", p.readsTheClaims)
			t.Run("knows nothing without keys", p.knowsNothingWithoutKeys)
			t.Run("finds a new key", p.findsANewKey)
		})
	}
}

// It accepts what the gateway signed for it, a moment ago, and nothing else.
func (p program) acceptsExactlyTheGoodOnes(t *testing.T) {
	b := newBed(t)
	address := p.start(t, b.jwksURL)
	good := 0
	for _, a := range b.attempts() {
		status, body := ask(t, address, a.values)
		switch {
		case a.good && status != http.StatusOK:
			t.Errorf("%s: refused, %d %s", a.name, status, body)
		case a.good && !strings.Contains(body, `github:583231`):
			t.Errorf("%s: says %s", a.name, body)
		case !a.good && (status != http.StatusUnauthorized || strings.Contains(body, "github:")):
			t.Errorf("%s: %d %s", a.name, status, body)
		}
		if a.good {
			good++
		}
	}
	if good < 5 {
		t.Errorf("%d good ones: the test proves nothing", good)
	}
	// The bad ones name keys that do not exist. That must not be a way to have the
	// gateway asked again and again.
	if n := b.fetches.Load(); n < 1 || n > 3 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

// What the programs of a backend get to see.
func (p program) readsTheClaims(t *testing.T) {
	b := newBed(t)
	status, body := ask(t, p.start(t, b.jwksURL), []string{b.signed(issuer, "/mcp")})
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); status != http.StatusOK || err != nil {
		t.Fatalf("%d %s", status, body)
	}
	for _, name := range []string{"iss", "aud", "iat", "exp"} {
		delete(got, name) // some leave them in
	}
	if got["groups_truncated"] == false { // Go has no other word for absent
		delete(got, "groups_truncated")
	}
	want := map[string]any{
		"sub": "github:583231", "preferred_username": "octocat", "email": "octocat@github.example",
		"groups": []any{"acme", "acme/eng", "équipe, «α»"}, "client_id": "c", "scope": "mcp",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

// Where the keys cannot be fetched the answer is 503, and never a pass.
func (p program) knowsNothingWithoutKeys(t *testing.T) {
	b := newBed(t)
	for _, jwksURL := range []string{"http://127.0.0.1:1/jwks", strings.TrimSuffix(b.jwksURL, "jwks") + "nothing-here"} {
		address := p.start(t, jwksURL)
		for range 2 {
			if status, body := ask(t, address, []string{b.signed(issuer, "/mcp")}); status != http.StatusServiceUnavailable {
				t.Errorf("%s: %d %s", jwksURL, status, body)
			}
		}
		if status, _ := ask(t, address, nil); status != http.StatusUnauthorized {
			t.Errorf("without an assertion: %d", status)
		}
	}
}

// The gateway has a new key, whatever for. Nobody has to restart the backend.
func (p program) findsANewKey(t *testing.T) {
	if p.impatient == nil {
		t.Skip("tested with a clock of its own")
	}
	b := newBed(t)
	p.args = p.impatient
	address := p.start(t, b.jwksURL)
	old := b.forger()
	genuine := func(object, object) {}
	if status, body := ask(t, address, []string{old.signed(genuine)}); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	b.signedAt(31*24*time.Hour, issuer, "/mcp") // makes the key of the next period
	b.fetches.Store(0)
	next := b.forger()
	for _, f := range []*forger{next, old} {
		if status, body := ask(t, address, []string{f.signed(genuine)}); status != http.StatusOK {
			t.Errorf("%d %s", status, body)
		}
	}
	if next.kid == old.kid || b.fetches.Load() != 1 {
		t.Errorf("same key: %v, %d fetches", next.kid == old.kid, b.fetches.Load())
	}
}
