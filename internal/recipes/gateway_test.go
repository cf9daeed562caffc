// SPDX-License-Identifier: Apache-2.0

package recipes

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/bolt"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const (
	issuer   = "https://mcp.example.com"
	resource = issuer + "/mcp"
	other    = "https://other.example.com"
)

// bed is a gateway with two sites, whose clock can be wrong.
type bed struct {
	t      *testing.T
	store  storage.Store
	ring   *token.Ring
	offset atomic.Int64
	sites  map[string]*gateway.Server
	// jwksURL is where the first site publishes its keys, counted in fetches.
	jwksURL string
	fetches atomic.Int64
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, ring: token.NewRing(token.Key{1}), sites: map[string]*gateway.Server{}}
	db, err := bolt.Open(filepath.Join(t.TempDir(), "state.db"), bolt.Options{Now: b.now})
	if err != nil {
		t.Fatal(err)
	}
	b.store = db
	st := gateway.NewState(gateway.Options{Store: db, Ring: b.ring, Now: b.now})
	t.Cleanup(func() { _ = st.Close() })
	anybody, err := policy.ParseRule("any")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := policy.New([]policy.Rule{anybody}, []policy.Ref{{Name: "github", Kind: identity.KindGitHub}})
	if err != nil {
		t.Fatal(err)
	}
	for _, iss := range []string{issuer, other} {
		cfg := gateway.Config{
			Issuer: iss, Upstreams: []upstream.Upstream{unused{}}, AccessTokenTTL: time.Hour, RefreshTokenTTL: 24 * time.Hour,
			Registration: gateway.Registration{Mode: gateway.RegistrationOff},
		}
		for _, path := range []string{"/mcp", "/ops"} {
			cfg.Resources = append(cfg.Resources, &gateway.Resource{
				Path: path, Scopes: []string{"mcp"}, Policy: rules, IdentityHeaders: true,
			})
		}
		if b.sites[iss], err = gateway.New(st, cfg); err != nil {
			t.Fatal(err)
		}
	}
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.fetches.Add(1)
		if !b.sites[issuer].ServeEndpoint(w, r) {
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(keys.Close)
	b.jwksURL = keys.URL + "/jwks"
	return b
}

func (b *bed) now() time.Time { return time.Now().Add(time.Duration(b.offset.Load())) }

// signedAt is what a gateway sends whose clock is wrong by so much.
func (b *bed) signedAt(offset time.Duration, iss, path string) string {
	b.t.Helper()
	b.offset.Store(int64(offset))
	defer b.offset.Store(0)
	return b.signed(iss, path)
}

// signed is the assertion that the gateway sends with a request of octocat's.
func (b *bed) signed(iss, path string) string {
	b.t.Helper()
	seen := make(chan string, 1)
	err := b.guarded(iss, path, func(_ http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("X-Mcp-Jwt-Assertion")
	}).ServeHTTPError(httptest.NewRecorder(), b.request(iss, path))
	if err != nil {
		b.t.Fatal(err)
	}
	select {
	case compact := <-seen:
		return compact
	default:
		b.t.Fatal("the request did not pass the guard")
		return ""
	}
}

// guard is a resource and what is behind it.
type guard struct {
	*gateway.Guard
	path    string
	backend http.HandlerFunc
}

func (b *bed) guarded(iss, path string, backend http.HandlerFunc) guard {
	return guard{b.sites[iss].Guard(path), path, backend}
}

func (g guard) ServeHTTPError(w http.ResponseWriter, r *http.Request) error {
	gateway.StripInbound(r)
	return g.Serve(w, r, g.path, func(w http.ResponseWriter, r *http.Request, _ *gateway.Admitted) error {
		g.backend(w, r)
		return nil
	})
}

func (b *bed) request(iss, path string) *http.Request {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, iss+path, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+b.token(iss, path))
	return r
}

// token is an access token of a grant of octocat's, made without a sign-in.
func (b *bed) token(iss, path string) string {
	b.t.Helper()
	octocat := identity.Identity{
		Upstream: "github", Kind: identity.KindGitHub, ID: "583231", Login: "octocat",
		Email: "octocat@github.example", EmailVerified: true, Groups: []string{"acme", "acme/eng", "équipe, «α»"},
	}
	now := b.now()
	g := &storage.Grant{
		Issuer: iss, ID: token.NewGrantID(), Subject: octocat.Subject(), ClientID: "c", Resource: iss + path,
		Scopes: []string{"mcp"}, Identity: octocat, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour),
		Code: storage.Code{RedeemedAt: now},
	}
	err := errors.Join(
		b.store.SaveAccount(b.t.Context(), &storage.Account{Subject: g.Subject, Identity: octocat, CheckedAt: now}),
		b.store.CreateGrant(b.t.Context(), g),
	)
	if err != nil {
		b.t.Fatal(err)
	}
	tok, err := b.ring.SealAccess(token.Access{
		Issuer: iss, GrantID: g.ID, Subject: g.Subject, ClientID: "c", Resource: g.Resource, Scopes: g.Scopes,
		ExpiresAt: now.Add(time.Hour),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return tok
}

// unused is an identity provider with whom nobody signs in.
type unused struct{}

func (unused) Name() string     { return "github" }
func (unused) Kind() string     { return identity.KindGitHub }
func (unused) Label() string    { return "GitHub" }
func (unused) Scopes() []string { return nil }

func (unused) AuthCodeURL(context.Context, upstream.AuthRequest) (string, error) {
	return "", errors.ErrUnsupported
}

func (unused) Identify(context.Context, url.Values, string, string) (*upstream.SignIn, error) {
	return nil, errors.ErrUnsupported
}
