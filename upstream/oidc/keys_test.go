// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// TestKeyRotation: the provider signs with a new key, which nobody has seen yet, and
// later takes the old one back.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := newProvider(c.now)
	o := p.connect(t)
	mustSignIn(t, p, o)
	c.pass(time.Minute)
	p.signer, p.published = keyB(), []any{keyA().jwk(), keyB().jwk()}
	mustSignIn(t, p, o)
	if p.count("keys") != 2 {
		t.Errorf("the keys were fetched %d times", p.count("keys"))
	}
	mustSignIn(t, p, o)
	if p.count("keys") != 2 {
		t.Errorf("for a known key, the keys were fetched %d times", p.count("keys"))
	}
	// The old key was stolen. It counts for an hour at most.
	p.published, p.signer = []any{keyB().jwk()}, keyA()
	c.pass(keysFresh)
	_, err := p.signIn(t, o)
	wantRefusal(t, err, upstream.ReasonUnavailable, "a moment ago")
	c.pass(minPause)
	_, err = p.signIn(t, o)
	wantRefusal(t, err, upstream.ReasonInvalid, "not signed with any")
}

func mustSignIn(t *testing.T, p *provider, o *OIDC) *upstream.SignIn {
	t.Helper()
	in, err := p.signIn(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestKeysWithoutNames: a provider need not name its keys while it has few.
func TestKeysWithoutNames(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := newProvider(c.now)
	a, b := keyA(), keyB()
	a.id, b.id = "", ""
	p.signer, p.published = a, []any{a.jwk()}
	o := p.connect(t)
	mustSignIn(t, p, o)
	// The key is replaced, and the new one has no name either.
	c.pass(minPause)
	p.signer, p.published = b, []any{b.jwk()}
	mustSignIn(t, p, o)
}

// TestAttackUnknownKeyStorm: Mallory's tokens name a new key each, so that every one
// makes us ask the provider again, until it locks us out.
func TestAttackUnknownKeyStorm(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := newProvider(c.now)
	o := p.connect(t)
	mustSignIn(t, p, o)
	c.pass(minPause)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			k := mallory()
			k.id = fmt.Sprintf("unknown-%d", i)
			if _, _, err := o.verify(t.Context(), "the id_token", k.sign(claims{"sub": "x"})); err == nil {
				t.Error("verified")
			}
		})
	}
	wg.Wait()
	if n := p.count("keys"); n != 2 {
		t.Errorf("the keys were fetched %d times", n)
	}
	mustSignIn(t, p, o) // others are not bothered
	c.pass(minPause)
	k := mallory()
	k.id = "unknown"
	_, _, err := o.verify(t.Context(), "the id_token", k.sign(claims{"sub": "x"}))
	wantRefusal(t, err, upstream.ReasonInvalid, "not signed with any")
	if n := p.count("keys"); n != 3 {
		t.Errorf("after a pause, the keys were fetched %d times", n)
	}
}

// TestAttackManyKeys: a set that costs a second per signature, or all memory.
func TestAttackManyKeys(t *testing.T) {
	t.Parallel()
	keys := make([]any, 0, 10_000)
	for range 10_000 {
		keys = append(keys, claims{"kty": "EC"})
	}
	jwk := string(must(json.Marshal(keyA().jwk())))
	for name, body := range map[string]string{
		"ten thousand stubs": string(must(json.Marshal(claims{"keys": keys}))),
		"hundreds":           `{"keys":[` + strings.Repeat(jwk+",", 200) + jwk + `]}`,
		"a gigabyte":         `{"keys":[],"x":"` + strings.Repeat("x", maxBody) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(time.Now)
			p.routes[p.at("keys")] = send(200, "application/json", body)
			begin := time.Now()
			_, err := p.signIn(t, p.connect(t))
			wantRefusal(t, err, upstream.ReasonUnavailable, "the key set")
			if d := time.Since(begin); d > 30*time.Second {
				t.Errorf("it took %s to say no", d)
			}
		})
	}
}

// TestKeyFaults: without keys nobody is believed.
func TestKeyFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		serve http.HandlerFunc
		says  string
	}{
		"500":         {send(500, "", "SECRET"), "status 500"},
		"404":         {send(404, "", ""), "status 404"},
		"redirect":    {redirect("https://evil.example/keys"), "status 302"},
		"page":        {send(200, "text/html", "<html>"), "the key set"},
		"no keys":     {send(200, "application/json", "{}"), "no key"},
		"empty":       {send(200, "application/json", `{"keys":[]}`), "no key"},
		"a secret":    {send(200, "application/json", `{"keys":[{"kty":"oct","k":"U0VDUkVU"}]}`), "symmetric"},
		"a weak one":  {send(200, "application/json", `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`), "no key"},
		"nobody home": {hangUp, "the key set"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(time.Now)
			p.routes[p.at("keys")] = tc.serve
			_, err := p.signIn(t, p.connect(t))
			wantRefusal(t, err, upstream.ReasonUnavailable, tc.says)
			keepsSecret(t, err, "SECRET", "U0VDUkVU")
		})
	}
}

// hangUp answers half and no more.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"keys":[{"kty":`))
}

// TestKeysMove: the provider has its keys somewhere else from now on, says so in its
// document, and forgets about the old address, where stale keys are left.
func TestKeysMove(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := newProvider(c.now)
	o := p.connect(t)
	mustSignIn(t, p, o)
	p.routes[p.at("keys")] = sendJSON(claims{"keys": []any{keyA().jwk()}})
	p.document["jwks_uri"] = theIssuer + "/new/keys"
	p.signer, p.published = keyB(), []any{keyB().jwk()}
	c.pass(keysAddressFresh)
	mustSignIn(t, p, o)
	if p.count("discovery") != 2 || p.count("new/keys") != 1 {
		t.Errorf("%d discovery, %d keys at the new address", p.count("discovery"), p.count("new/keys"))
	}
}

// TestKeysAreDownForAWhile: those that are known serve on.
func TestKeysAreDownForAWhile(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := newProvider(c.now)
	o := p.connect(t)
	mustSignIn(t, p, o)
	p.routes[p.at("keys")] = send(503, "", "")
	c.pass(12 * time.Hour)
	mustSignIn(t, p, o)
	c.pass(12 * time.Hour)
	_, err := p.signIn(t, o)
	wantRefusal(t, err, upstream.ReasonUnavailable, "503")
}

// TestTokenBeforeTheKeys: the key is too new to be known, and the set was fetched a
// moment ago. That is nobody's fault, and trying again helps.
func TestTokenBeforeTheKeys(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := newProvider(c.now)
	o := p.connect(t)
	mustSignIn(t, p, o)
	p.signer, p.published = keyB(), []any{keyA().jwk(), keyB().jwk()}
	_, err := p.signIn(t, o)
	wantRefusal(t, err, upstream.ReasonUnavailable, "a moment ago")
	c.pass(minPause)
	mustSignIn(t, p, o)
}
