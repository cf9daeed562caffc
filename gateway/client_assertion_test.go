// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// signingClient publishes a client that signs, as ChatGPT does, and its keys.
func (p *publisher) signingClient(keys ...string) string {
	p.t.Helper()
	p.publish("/jwks.json", keySet(keys...))
	return p.document("/client.json", members{
		"client_name": "ChatGPT", "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": p.id("/jwks.json"),
		"token_endpoint_auth_methods_supported": []string{"none", "private_key_jwt"},
	})
}

// grantOf signs somebody in at a signing client.
func (w *world) grantOf(id string) tokens {
	w.t.Helper()
	code := w.browser().code(authorizeQuery(id, loopbackURI))
	return w.redeem(asserted(codeForm(id, code), w.assertion(id, nil)))
}

// The whole way of ChatGPT, and of clients that sign differently.
func TestAssertions(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	id := p.signingClient("rsa", "ec")
	tok := w.grantOf(id)
	for name, tt := range map[string]struct {
		key    string
		alg    jose.SignatureAlgorithm
		change members
		form   func(url.Values)
	}{
		"ChatGPT":                  {"rsa", jose.RS256, nil, nil},
		"MCP SDKs":                 {"ec", jose.ES256, members{"aud": issuer}, nil},
		"a URL type with a slash":  {"ec", jose.ES256, members{"aud": issuer + "/"}, nil},
		"both audiences":           {"rsa", jose.PS256, members{"aud": []string{issuer, issuer + "/token"}}, nil},
		"without client_id":        {"rsa", jose.RS256, nil, func(f url.Values) { f.Del("client_id") }},
		"without iat":              {"rsa", jose.RS256, members{"iat": nil}, nil},
		"a clock a minute fast":    {"rsa", jose.RS256, members{"iat": w.clock.Now().Unix() + 60, "exp": w.clock.Now().Unix() + 360}, nil},
		"an end that just was":     {"rsa", jose.RS256, members{"exp": w.clock.Now().Unix() - 59}, nil},
		"an empty secret as well":  {"rsa", jose.RS256, nil, func(f url.Values) { f.Set("client_secret", "") }},
		"claims of its own":        {"rsa", jose.RS256, members{"x": members{"y": 1}}, nil},
		"not before, by a minute":  {"rsa", jose.RS256, members{"nbf": w.clock.Now().Unix() + 60}, nil},
		"a jti with odd letters":   {"rsa", jose.RS256, members{"jti": "a\u0000b \"ü\""}, nil},
		"a fraction of a second":   {"rsa", jose.RS256, members{"exp": float64(w.clock.Now().Unix()) + 299.5}, nil},
		"another type of audience": {"rsa", jose.RS256, members{"aud": []string{issuer}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := asserted(refreshForm(id, tok.RefreshToken), w.assertionBy(tt.key, tt.alg, id, tt.change))
			if tt.form != nil {
				tt.form(f)
			}
			tok = w.redeem(f)
			w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
		})
	}
	if n := p.requests("/jwks.json"); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

// Forged, borrowed, old and broken assertions, and requests that come without one:
// none of them is the client, and none costs it its tokens.
func TestForgedAssertions(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	id := p.signingClient("rsa", "ec")
	other := p.document("/evil.json", members{
		"token_endpoint_auth_method": "private_key_jwt", "jwks": members{"keys": keySet("rsa2").Keys},
	})
	tok := w.grantOf(id)
	now := w.clock.Now().Unix()
	good := refreshForm(id, tok.RefreshToken)
	public, err := json.Marshal(keySet("rsa").Keys[0])
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	claims, err := json.Marshal(w.claims(id, nil))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(w.assertion(id, nil), ".")
	for name, f := range map[string]url.Values{
		"aud of another server":     asserted(good, w.assertion(id, members{"aud": "https://evil.example/token"})),
		"aud of another server too": asserted(good, w.assertion(id, members{"aud": []string{issuer, "https://evil.example"}})),
		"aud of the resource":       asserted(good, w.assertion(id, members{"aud": resource})),
		"aud with a doubled slash":  asserted(good, w.assertion(id, members{"aud": issuer + "//token"})),
		"aud missing":               asserted(good, w.assertion(id, members{"aud": nil})),
		"iss of another":            asserted(good, w.assertion(id, members{"iss": other})),
		"sub of another":            asserted(with(good, "client_id", ""), w.assertion(id, members{"sub": other})),
		"client_id of another":      asserted(with(good, "client_id", other), w.assertion(id, nil)),
		"expired":                   asserted(good, w.assertion(id, members{"exp": now - 60})),
		"far in the future":         asserted(good, w.assertion(id, members{"exp": now + 361})),
		"good for a year":           asserted(good, w.assertion(id, members{"exp": now + 31536000})),
		"no end":                    asserted(good, w.assertion(id, members{"exp": nil})),
		"issued in the future":      asserted(good, w.assertion(id, members{"iat": now + 61})),
		"not yet":                   asserted(good, w.assertion(id, members{"nbf": now + 61})),
		"no jti":                    asserted(good, w.assertion(id, members{"jti": nil})),
		"empty jti":                 asserted(good, w.assertion(id, members{"jti": ""})),
		"another's key":             asserted(good, w.assertionBy("rsa2", jose.RS256, id, nil)),
		"another's key, our kid": asserted(good, signClaims(t, jose.SigningKey{Algorithm: jose.RS256, Key: clientKeys()["rsa2"]},
			"rsa", w.claims(id, nil))),
		"alg none":              asserted(good, enc([]byte(`{"alg":"none","kid":"rsa"}`))+"."+enc(claims)+"."),
		"HS256 with public key": asserted(good, signClaims(t, jose.SigningKey{Algorithm: jose.HS256, Key: public}, "rsa", w.claims(id, nil))),
		"RS512":                 asserted(good, w.assertionBy("rsa", jose.RS512, id, nil)),
		"claims exchanged":      asserted(good, parts[0]+"."+enc(claims)+"."+parts[2]),
		"signature cut off":     asserted(good, parts[0]+"."+parts[1]+"."),
		"two parts":             asserted(good, parts[0]+"."+parts[1]),
		"rubbish":               asserted(good, "x"),
		"another type":          with(asserted(good, w.assertion(id, nil)), "client_assertion_type", "urn:x"),
		"no type":               with(asserted(good, w.assertion(id, nil)), "client_assertion_type", ""),
		"nothing":               good,
		"a secret":              with(good, "client_secret", "hunter2hunter2"),
		"an empty secret":       with(good, "client_secret", ""),
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, w.postForm(oauth.PathToken, f), http.StatusUnauthorized, "invalid_client")
		})
	}
	wantError(t, w.postForm(oauth.PathToken, with(good, "client_id", ""), "Authorization", basic(url.QueryEscape(id), "secret")), http.StatusUnauthorized, "invalid_client")
	for name, f := range map[string]url.Values{
		"and a secret": with(asserted(good, w.assertion(id, nil)), "client_secret", "s"),
		"twice":        {"client_assertion": {w.assertion(id, nil), w.assertion(id, nil)}, "client_assertion_type": {oauth.AssertionTypeJWT}},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, w.postForm(oauth.PathToken, f), http.StatusBadRequest, "invalid_request")
		})
	}
	// The other client is a client, but the grant is not its own.
	wantError(t, w.postForm(oauth.PathToken, asserted(with(good, "client_id", other), w.assertionBy("rsa2", jose.RS256, other, nil))),
		http.StatusBadRequest, "invalid_grant")
	w.redeem(asserted(good, w.assertion(id, nil)))
}

// An assertion for one of our issuers, taken to another one on the same machine
// with the same keys and the same store: each issuer is a server of its own.
func TestAssertionAtAnotherIssuer(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	id := p.signingClient("rsa")
	tok := w.grantOf(id)
	f := asserted(refreshForm(id, tok.RefreshToken), w.assertion(id, members{"aud": "https://other.example.com"}))
	wantError(t, w.postForm(oauth.PathToken, f), http.StatusUnauthorized, "invalid_client")
}

// A stolen assertion, 64 times at once and the client's own request among them:
// one of them is the client.
func TestReplayedAssertion(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	id := p.signingClient("rsa")
	tok := w.grantOf(id)
	f := asserted(refreshForm(id, tok.RefreshToken), w.assertion(id, nil))
	var wg sync.WaitGroup
	results := make(chan int, 64)
	for range 64 {
		wg.Go(func() { results <- w.postForm(oauth.PathToken, f).StatusCode })
	}
	wg.Wait()
	close(results)
	counts := map[int]int{}
	for status := range results {
		counts[status]++
	}
	if counts[http.StatusOK] != 1 || counts[http.StatusUnauthorized] != 63 {
		t.Errorf("answers %v, want one 200 and 63 times 401", counts)
	}
	if !strings.Contains(w.log.String(), "client assertion replayed") {
		t.Error("the operator is not told")
	}
	// Later, as long as it would be good, and after a restart of the configuration.
	w.clock.Advance(5*time.Minute + 59*time.Second)
	w.reload()
	wantError(t, w.postForm(oauth.PathToken, f), http.StatusUnauthorized, "invalid_client")
	w.clock.Advance(time.Second)
	if e := wantError(t, w.postForm(oauth.PathToken, f), http.StatusUnauthorized, "invalid_client"); !strings.Contains(e.Description, "expired") {
		t.Errorf("the jti is forgotten before the assertion ends: %s", e.Description)
	}
}

// Two clients may use the same jti: it is theirs.
func TestSameJTIOfTwoClients(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	id := p.signingClient("rsa")
	second := p.document("/second.json", members{"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": p.id("/jwks.json")})
	for _, c := range []string{id, second} {
		f := asserted(codeForm(c, w.browser().code(authorizeQuery(c, loopbackURI))), w.assertion(c, members{"jti": "1"}))
		w.redeem(f)
	}
}

// If it cannot be noted that an assertion was used, it was not.
func TestAssertionWhileTheStoreFails(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	id := p.signingClient("rsa")
	tok := w.grantOf(id)
	w.store.failOn("RememberOnce", errDisk)
	f := asserted(refreshForm(id, tok.RefreshToken), w.assertion(id, nil))
	wantError(t, w.postForm(oauth.PathToken, f), http.StatusServiceUnavailable, "temporarily_unavailable")
	w.store.failOn("RememberOnce", nil)
	w.redeem(f)
}

// Keys are rotated: a new one works at once, an old one until the copy is renewed.
// Keys that do not exist make us ask once a minute, whoever asks how often.
func TestKeyRotationOfAClient(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	id := p.signingClient("rsa")
	tok := w.grantOf(id)
	p.publish("/jwks.json", keySet("rsa2"))
	w.clock.Advance(time.Minute)
	tok = w.redeem(asserted(refreshForm(id, tok.RefreshToken), w.assertionBy("rsa2", jose.RS256, id, nil)))
	wantError(t, w.postForm(oauth.PathToken, asserted(refreshForm(id, tok.RefreshToken), w.assertion(id, nil))),
		http.StatusUnauthorized, "invalid_client") // withdrawn
	for range 50 {
		f := asserted(refreshForm(id, "x"), w.assertionBy("ec", jose.ES256, id, nil))
		wantError(t, w.postForm(oauth.PathToken, f), http.StatusUnauthorized, "invalid_client")
	}
	if n := p.requests("/jwks.json"); n != 2 {
		t.Errorf("the keys were fetched %d times, want 2", n)
	}
}

// The keys are out of reach: come again. They are gone for good: no client.
func TestKeysOutOfReach(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		serve  http.HandlerFunc
		status int
		code   string
	}{
		"server broken": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, http.StatusServiceUnavailable, "temporarily_unavailable"},
		"not there":     {http.NotFound, http.StatusUnauthorized, "invalid_client"},
		"moved":         {http.RedirectHandler("/elsewhere", http.StatusMovedPermanently).ServeHTTP, http.StatusUnauthorized, "invalid_client"},
		"no keys":       {withJSON(`{"keys":[]}`), http.StatusUnauthorized, "invalid_client"},
		"private keys":  {withJSON(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`), http.StatusUnauthorized, "invalid_client"},
		"too long":      {withJSON(`{"keys":[],"x":"` + strings.Repeat("x", 65<<10) + `"}`), http.StatusUnauthorized, "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p := newDocumentWorld(t)
			id := p.signingClient("rsa")
			p.serve("/jwks.json", tt.serve)
			code := w.browser().code(authorizeQuery(id, loopbackURI))
			wantError(t, w.postForm(oauth.PathToken, asserted(codeForm(id, code), w.assertion(id, nil))), tt.status, tt.code)
			p.publish("/jwks.json", keySet("rsa"))
			w.clock.Advance(10 * time.Second)
			w.redeem(asserted(codeForm(id, code), w.assertion(id, nil))) // the code was not used up
		})
	}
}

// A client that says it uses one algorithm is held to it.
func TestSigningAlgorithmOfAClient(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	p.publish("/jwks.json", keySet("rsa", "ec"))
	id := p.document("/client.json", members{
		"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": p.id("/jwks.json"), "token_endpoint_auth_signing_alg": "RS256",
	})
	f := codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI)))
	for key, alg := range map[string]jose.SignatureAlgorithm{"ec": jose.ES256, "rsa": jose.PS256} {
		wantError(t, w.postForm(oauth.PathToken, asserted(f, w.assertionBy(key, alg, id, nil))), http.StatusUnauthorized, "invalid_client")
	}
	w.redeem(asserted(f, w.assertion(id, nil)))
}

// Clients that are not registered for assertions do not become somebody by one.
func TestAssertionOfAnotherKindOfClient(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t, func(c *gateway.Config) { c.Clients = []gateway.PreregisteredClient{secretClient()} })
	public := p.document("/public.json", nil)
	for _, id := range []string{public, w.register(loopbackURI), w.registerAs("client_secret_post", loopbackURI).ClientID, secretClient().ID} {
		f := asserted(codeForm(id, "mcpac_x"), w.assertion(id, nil))
		wantError(t, w.postForm(oauth.PathToken, f), http.StatusUnauthorized, "invalid_client")
	}
	unknown := asserted(codeForm("nobody", "mcpac_x"), w.assertion("nobody", nil))
	wantError(t, w.postForm(oauth.PathToken, unknown), http.StatusUnauthorized, "invalid_client")
}

// An assertion is a credential: it is in no log.
func TestAssertionsAreNotLogged(t *testing.T) {
	t.Parallel()
	w, p := newDocumentWorld(t)
	id := p.signingClient("rsa")
	tok := w.grantOf(id)
	var sent []string
	for _, change := range []members{nil, {"aud": "https://evil.example"}, {"jti": nil}, {"exp": 1}} {
		a := w.assertion(id, change)
		sent = append(sent, a)
		w.postForm(oauth.PathToken, asserted(refreshForm(id, tok.RefreshToken), a))
		w.postForm(oauth.PathToken, asserted(refreshForm(id, tok.RefreshToken), a))
	}
	w.store.failOn("RememberOnce", errDisk)
	a := w.assertion(id, nil)
	w.postForm(oauth.PathToken, asserted(refreshForm(id, tok.RefreshToken), a))
	for _, a := range append(sent, a) {
		if parts := strings.Split(a, "."); strings.Contains(w.log.String(), parts[2]) || strings.Contains(w.log.String(), parts[1]) {
			t.Error("the assertion is in the log")
		}
	}
}
