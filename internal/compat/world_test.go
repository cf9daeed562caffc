// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/bolt"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// issuer is the origin every client is pointed to.
const issuer = "https://mcp.example.com"

// world is the gateway in front of one MCP server, and of a second one that no
// client is meant to reach. It is a transport: clients and browsers send to it.
type world struct {
	t      *testing.T
	clock  *clock
	server *gateway.Server
	// paths are where the MCP servers are, the client's first.
	paths []string
	// calls counts what reached each backend.
	mu    sync.Mutex
	calls map[string]int
}

// newWorld serves an MCP server at path, "/" or "/mcp".
func newWorld(t *testing.T, path string) *world {
	t.Helper()
	w := &world{
		t: t, clock: &clock{now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)},
		paths: []string{path, "/ops"}, calls: map[string]int{},
	}
	store, err := bolt.Open(filepath.Join(t.TempDir(), "state.db"), bolt.Options{Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	state := gateway.NewState(gateway.Options{Store: store, Ring: token.NewRing(token.Key{1}), Logger: logger, Now: w.clock.Now})
	t.Cleanup(func() { _ = state.Close() })
	rule, err := policy.ParseRule("user:octocat")
	if err != nil {
		t.Fatal(err)
	}
	allow, err := policy.New([]policy.Rule{rule}, []policy.Ref{{Name: "github", Kind: identity.KindGitHub}})
	if err != nil {
		t.Fatal(err)
	}
	w.server, err = gateway.New(state, gateway.Config{
		Issuer: issuer,
		Resources: []*gateway.Resource{
			{Path: path, Name: "Weather", Scopes: []string{"mcp"}, IdentityHeaders: true, Policy: allow},
			{Path: "/ops", Name: "Operations", Scopes: []string{"ops"}, IdentityHeaders: true, Policy: allow},
		},
		Upstreams:      []upstream.Upstream{octocat{}},
		AccessTokenTTL: time.Hour, RefreshTokenTTL: 90 * 24 * time.Hour, RefreshGrace: time.Minute,
		Registration: gateway.Registration{Mode: gateway.RegistrationOpen}, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// RoundTrip does what the Caddy handler does, for requests to the issuer.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme+"://"+r.URL.Host != issuer {
		return nil, errors.New(r.URL.Host + " is not part of the test")
	}
	in := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), r.Body)
	in.Header, in.RemoteAddr = r.Header.Clone(), "192.0.2.7:4711"
	if in.URL.Path == "" {
		in.URL.Path = "/" // RFC 9112 §3.2.1
	}
	rec := httptest.NewRecorder()
	w.serve(rec, in)
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	gateway.StripInbound(r)
	if w.server.ServeEndpoint(rw, r) {
		return
	}
	path := w.paths[0]
	if strings.HasPrefix(r.URL.Path, "/ops") {
		path = "/ops"
	}
	if r.URL.Path != path && !strings.HasPrefix(r.URL.Path, strings.TrimSuffix(path, "/")+"/") {
		rw.WriteHeader(http.StatusNotFound)
		return
	}
	err := w.server.Guard(path).Serve(rw, r, path, func(rw http.ResponseWriter, _ *http.Request, _ *gateway.Admitted) error {
		w.mu.Lock()
		w.calls[path]++
		w.mu.Unlock()
		rw.Header().Set("Content-Type", "application/json")
		_, err := io.WriteString(rw, `{"jsonrpc":"2.0","id":0,"result":{}}`)
		return err
	})
	if err != nil {
		w.t.Errorf("guard: %v", err)
	}
}

// reached is how often the backend at a path was called.
func (w *world) reached(path string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[path]
}

// send sends a request of a client and reads the answer.
func (w *world) send(t *testing.T, method, address string, header map[string]string, body string) *Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := w.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &Answer{URL: address, Status: resp.StatusCode, Header: resp.Header, Body: text}
}

// clock is the injected time.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// octocat is a GitHub where everybody is octocat, at once.
type octocat struct{}

func (octocat) Name() string     { return "github" }
func (octocat) Kind() string     { return identity.KindGitHub }
func (octocat) Label() string    { return "GitHub" }
func (octocat) Scopes() []string { return []string{"read:user"} }

func (octocat) AuthCodeURL(_ context.Context, r upstream.AuthRequest) (string, error) {
	return r.RedirectURI + "?" + url.Values{"code": {"upstream-code"}, "state": {r.State}}.Encode(), nil
}

func (octocat) Identify(context.Context, url.Values, string, string) (*upstream.SignIn, error) {
	return &upstream.SignIn{
		Identity: identity.Identity{Upstream: "github", Kind: identity.KindGitHub, ID: "583231", Login: "octocat"},
	}, nil
}
