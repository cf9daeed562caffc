// SPDX-License-Identifier: Apache-2.0

// Package testop is an OpenID Connect provider for tests: a certified one, the op
// package of github.com/zitadel/oidc, on a loopback port, with users, groups and
// refresh tokens that rotate. Its browser pages can be clicked without a browser,
// its users can be changed and thrown out while they are signed in, and each of its
// answers can be tampered with, to play a provider that is hostile or broken.
package testop

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"

	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/text/language"
)

// TB is what Start needs of testing.TB.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Provider is a provider with one client. All methods may be called while it runs.
type Provider struct {
	issuer string
	op     http.Handler

	mu       sync.Mutex
	cfg      Config
	users    map[string]User
	signedIn string // subject, empty if nobody is
	keys     []signingKey
	faults   map[string]Fault
	requests []Request
	logins   map[string]*login   // by id
	codes    map[string]string   // to the id of a login
	access   map[string]*session // by id of the token
	refresh  map[string]*session // by the token
	replaced map[string]*session // refresh tokens that were used
}

// Start serves a provider until the test ends. Edit changes the configuration first.
func Start(t TB, edit ...func(*Config)) *Provider {
	t.Helper()
	front := &entrance{}
	srv := httptest.NewServer(front)
	t.Cleanup(func() {
		srv.CloseClientConnections() // of requests that hang
		srv.Close()
	})
	p := New(t, srv.URL, edit...)
	front.provider.Store(p)
	return p
}

// entrance is the server of a provider that needs to know the server's address.
type entrance struct{ provider atomic.Pointer[Provider] }

func (e *entrance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.provider.Load().ServeHTTP(w, r)
}

// New makes a provider for somebody else's server. url is the server's address,
// without a slash at the end.
func New(t TB, url string, edit ...func(*Config)) *Provider {
	t.Helper()
	cfg := defaults()
	for _, e := range edit {
		e(&cfg)
	}
	p := &Provider{
		cfg: cfg, users: map[string]User{}, faults: map[string]Fault{}, logins: map[string]*login{},
		codes: map[string]string{}, access: map[string]*session{}, refresh: map[string]*session{}, replaced: map[string]*session{},
		keys: []signingKey{newKey(cfg.Algorithm)},
	}
	for _, u := range cfg.Users {
		p.users[u.Subject] = u
	}
	p.issuer = url + cfg.IssuerPath
	provider, err := op.NewProvider(&op.Config{
		CryptoKey:                sha256.Sum256([]byte(url)),
		CodeMethodS256:           true,
		AuthMethodPost:           true,
		GrantTypeRefreshToken:    true,
		SupportedUILocales:       []language.Tag{language.English},
		SupportedScopes:          cfg.Scopes,
		DefaultLogoutRedirectURI: "/",
	}, &store{p}, op.StaticIssuer(p.issuer), op.WithAllowInsecure())
	if err != nil {
		t.Fatalf("start the provider: %v", err)
	}
	p.op = http.StripPrefix(cfg.prefix(), provider)
	return p
}

// Issuer is the issuer identifier.
func (p *Provider) Issuer() string { return p.issuer }

// ClientID is the client's id.
func (p *Provider) ClientID() string { return p.cfg.ClientID }

// ClientSecret is the client's secret, empty for a public client.
func (p *Provider) ClientSecret() string { return p.cfg.ClientSecret }
