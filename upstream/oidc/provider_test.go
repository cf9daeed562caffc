// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const (
	theIssuer   = "https://login.example.com"
	theClient   = "gateway"
	theSecret   = "correct-horse-battery-staple"
	redirectURI = "https://mcp.example.com/callback/company"

	theAccess  = "access-token-1"
	theRefresh = "refresh-token-1"
)

type claims = map[string]any

// provider is a scripted provider that listens nowhere: it is the transport of the
// client under test, so that it can have any name, and time can be made to stand
// still. What it says is in its fields; they are changed only between requests, or
// through set.
type provider struct {
	issuer string
	now    func() time.Time

	mu        sync.Mutex
	signer    testKey
	published []any // JWKs
	document  claims
	identity  claims // claims of the id_token, nonce and times are added
	userinfo  claims
	edit      func(claims)                    // the claims of the id_token, last
	mint      func(p *provider, c claims) any // replaces the id_token
	answer    func(claims)                    // the token answer, last
	routes    map[string]http.HandlerFunc     // by address without query; replaces what is there
	requests  []*http.Request                 // bodies are parsed
	nonce     string                          // of the last authorization request
	challenge string
}

func newProvider(now func() time.Time) *provider {
	return providerOf(theIssuer, now)
}

func providerOf(issuer string, now func() time.Time) *provider {
	base := issuer
	if base[len(base)-1] == '/' {
		base = base[:len(base)-1]
	}
	p := &provider{issuer: issuer, now: now, signer: keyA(), routes: map[string]http.HandlerFunc{}}
	p.published = []any{keyA().jwk()}
	p.document = claims{
		"issuer":                                issuer,
		"authorization_endpoint":                base + "/authorize",
		"token_endpoint":                        base + "/token",
		"userinfo_endpoint":                     base + "/userinfo",
		"jwks_uri":                              base + "/keys",
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "PS256", "EdDSA", "HS256", "none"},
	}
	p.identity = claims{
		"iss": issuer, "aud": theClient, "sub": "alice-1",
		"preferred_username": "alice", "name": "Alice Example",
		"email": "alice@example.com", "email_verified": true, "groups": []string{"ops", "dev"},
	}
	p.userinfo = claims{"sub": "alice-1"}
	return p
}

// set changes the provider while requests may be under way.
func (p *provider) set(edit func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	edit()
}

// RoundTrip implements http.RoundTripper.
func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	address := (&url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path}).String()
	p.mu.Lock()
	p.requests = append(p.requests, r)
	h, ok := p.routes[address]
	if !ok {
		h, ok = p.standard(address)
	}
	p.mu.Unlock()
	if !ok {
		return nil, errors.New("no such host: " + address)
	}
	rec := httptest.NewRecorder()
	h(rec, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

func (p *provider) standard(address string) (http.HandlerFunc, bool) {
	switch address {
	case p.at("discovery"):
		return sendJSON(p.document), true
	case p.document["jwks_uri"]:
		return sendJSON(claims{"keys": p.published}), true
	case p.document["token_endpoint"]:
		return p.token, true
	case p.document["userinfo_endpoint"]:
		return sendJSON(p.userinfo), true
	}
	return nil, false
}

// at is the address of an endpoint: discovery, token, userinfo, keys.
func (p *provider) at(endpoint string) string {
	base := p.issuer
	if base[len(base)-1] == '/' {
		base = base[:len(base)-1]
	}
	if endpoint == "discovery" {
		endpoint = ".well-known/openid-configuration"
	}
	return base + "/" + endpoint
}

// count is how often an endpoint was asked.
func (p *provider) count(endpoint string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, r := range p.requests {
		if (&url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path}).String() == p.at(endpoint) {
			n++
		}
	}
	return n
}

func (p *provider) last(t *testing.T, endpoint string) *http.Request {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range slices.Backward(p.requests) {
		if r.URL.Path == "/"+endpoint {
			return r
		}
	}
	t.Fatalf("%s was never asked", endpoint)
	return nil
}

// token answers token requests. It checks PKCE as providers do.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if r.PostForm.Get("grant_type") == "authorization_code" && base64.RawURLEncoding.EncodeToString(sum[:]) != p.challenge {
		sendError(http.StatusBadRequest, "invalid_grant")(w, r)
		return
	}
	answer := claims{"access_token": theAccess, "token_type": "Bearer", "expires_in": 300, "id_token": p.idToken()}
	if p.answer != nil {
		p.answer(answer)
	}
	sendJSON(answer)(w, r)
}

func (p *provider) idToken() any {
	c := maps.Clone(p.identity)
	c["iat"], c["exp"] = p.now().Unix(), p.now().Add(5*time.Minute).Unix()
	if p.nonce != "" {
		c["nonce"] = p.nonce
	}
	if p.edit != nil {
		p.edit(c)
	}
	if p.mint != nil {
		return p.mint(p, c)
	}
	return p.signer.sign(c)
}

// connect makes the upstream under test.
func (p *provider) connect(t *testing.T, edit ...func(*Config)) *OIDC {
	t.Helper()
	cfg := Config{
		Name: "company", Issuer: p.issuer, ClientID: theClient, ClientSecret: theSecret,
		HTTPClient: &http.Client{Transport: p}, Now: p.now,
	}
	for _, e := range edit {
		e(&cfg)
	}
	o, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// begin is the browser's way to the provider, and what it comes back with.
func (p *provider) begin(t *testing.T, o *OIDC) (callback url.Values, verifier string) {
	t.Helper()
	verifier = oauth2.GenerateVerifier()
	to, err := o.AuthCodeURL(t.Context(), upstream.AuthRequest{State: "state-1", Verifier: verifier, RedirectURI: redirectURI})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	p.set(func() { p.nonce, p.challenge = u.Query().Get("nonce"), u.Query().Get("code_challenge") })
	return url.Values{"code": {"code-1"}, "state": {"state-1"}}, verifier
}

// signIn is a whole sign-in. It fails the test if an error says a secret.
func (p *provider) signIn(t *testing.T, o *OIDC) (*upstream.SignIn, error) {
	t.Helper()
	callback, verifier := p.begin(t, o)
	in, err := o.Identify(t.Context(), callback, verifier, redirectURI)
	if err != nil {
		keepsSecret(t, err, verifier, theSecret, theAccess, theRefresh, "code-1")
	}
	return in, err
}

func sendJSON(v any) http.HandlerFunc {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return send(http.StatusOK, "application/json", string(raw))
}

func send(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func sendError(status int, code string) http.HandlerFunc {
	return send(status, "application/json", `{"error":"`+code+`","error_description":"`+theAccess+`"}`)
}

// hang answers when the client has given up.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
