// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	docs "github.com/caddy-mcp/caddy-mcp-oauth/internal/fetch"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testsite"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// publisher is a website where clients publish their documents and keys.
type publisher struct {
	t    *testing.T
	site *testsite.Site
	mu   sync.Mutex
	// pages are what each path answers, asked how often each was requested.
	pages map[string]http.HandlerFunc
	asked map[string]int
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{t: t, pages: map[string]http.HandlerFunc{}, asked: map[string]int{}}
	p.site = testsite.New(t, func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked[r.URL.Path]++
		h := p.pages[r.URL.Path]
		p.mu.Unlock()
		if h == nil {
			h = http.NotFound
		}
		h(w, r)
	})
	return p
}

// id is the client id of a path, at a host of the client's.
func (p *publisher) id(path string) string { return p.site.At("client.example", path) }

func (p *publisher) serve(path string, h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages[path] = h
}

func (p *publisher) requests(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

// publish serves a JSON document, for as short as is possible.
func (p *publisher) publish(path string, v any) {
	p.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		p.t.Fatal(err)
	}
	p.serve(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(b)
	})
}

type members = map[string]any

// document publishes a client and returns its id. change replaces members; nil
// removes one.
func (p *publisher) document(path string, change members) string {
	p.t.Helper()
	d := members{
		"client_id": p.id(path), "client_name": "Published client", "redirect_uris": []string{loopbackURI, webURI},
		"token_endpoint_auth_method": "none", "grant_types": []string{"authorization_code", "refresh_token"},
		"response_types": []string{"code"},
	}
	for k, v := range change {
		if v == nil {
			delete(d, k)
		} else {
			d[k] = v
		}
	}
	p.publish(path, d)
	return p.id(path)
}

func (p *publisher) options() docs.Options {
	return docs.Options{RootCAs: p.site.Roots, Resolver: testsite.Loopback().Resolver(), InsecureAllowLoopback: true}
}

// newDocumentWorld is a world that fetches documents from a publisher.
func newDocumentWorld(t *testing.T, edit ...func(*gateway.Config)) (*world, *publisher) {
	t.Helper()
	p := newPublisher(t)
	w := newWorld(t, append([]func(*gateway.Config){documentsOn()}, edit...)...)
	w.fetchWith(p.options())
	return w, p
}

func documentsOn(domains ...string) func(*gateway.Config) {
	return func(c *gateway.Config) { c.ClientDocuments = gateway.ClientDocuments{Enabled: true, Domains: domains} }
}

// fetchWith builds the state anew over the same store.
func (w *world) fetchWith(o docs.Options) {
	w.t.Helper()
	w.state = gateway.NewState(gateway.Options{
		Store: w.store, Ring: token.NewRing(token.Key{1}), Now: w.clock.Now, Fetch: docs.New(o),
		Logger: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	w.reload()
}

func (s *faultyStore) RememberOnce(ctx context.Context, issuer string, id storage.Hash, ttl time.Duration) error {
	if err := s.fault("RememberOnce"); err != nil {
		return err
	}
	return s.Store.RememberOnce(ctx, issuer, id, ttl)
}

// Keys of clients. They are made once, because RSA takes its time.
var clientKeys = sync.OnceValue(func() map[string]crypto.Signer {
	out := map[string]crypto.Signer{}
	for _, name := range []string{"rsa", "rsa2"} {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		out[name] = k
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	out["ec"] = k
	return out
})

// keySet is the public JWK set of keys, each with its name as id.
func keySet(names ...string) jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	for _, n := range names {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: clientKeys()[n].Public(), KeyID: n, Use: "sig"})
	}
	return set
}

// assertion signs one as ChatGPT does: RS256, the token endpoint as audience, five
// minutes. change replaces claims; nil removes one.
func (w *world) assertion(clientID string, change members) string {
	return w.assertionBy("rsa", jose.RS256, clientID, change)
}

func (w *world) assertionBy(key string, alg jose.SignatureAlgorithm, clientID string, change members) string {
	w.t.Helper()
	return signClaims(w.t, jose.SigningKey{Algorithm: alg, Key: clientKeys()[key]}, key, w.claims(clientID, change))
}

func (w *world) claims(clientID string, change members) members {
	now := w.clock.Now().Unix()
	claims := members{
		"iss": clientID, "sub": clientID, "aud": issuer + oauth.PathToken, "iat": now, "exp": now + 300, "jti": token.NewSecret(),
	}
	for k, v := range change {
		if v == nil {
			delete(claims, k)
		} else {
			claims[k] = v
		}
	}
	return claims
}

func signClaims(t *testing.T, key jose.SigningKey, kid string, claims members) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	opts := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		opts.WithHeader("kid", kid)
	}
	s, err := jose.NewSigner(key, opts)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// asserted is a token request with an assertion.
func asserted(f url.Values, assertion string) url.Values {
	return with(f, "client_assertion", assertion, "client_assertion_type", oauth.AssertionTypeJWT)
}

// withJSON serves a body with headers: name, value, …
func withJSON(body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		_, _ = io.WriteString(w, body)
	}
}
