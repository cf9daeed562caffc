// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// A mistake stops the start and names the line to mend (M-03).
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, tt := range map[string]struct {
		spoil func(*gateway.Config)
		want  string
	}{
		"no resource":           {func(c *gateway.Config) { c.Resources = nil }, "no resource"},
		"nobody allowed":        {func(c *gateway.Config) { c.Resources[0].Policy = nil }, "nobody is allowed"},
		"no scopes":             {func(c *gateway.Config) { c.Resources[0].Scopes = nil }, "no scopes"},
		"scope with a quote":    {func(c *gateway.Config) { c.Resources[0].Scopes = []string{`a"b`} }, "cannot be a scope"},
		"offline_access":        {func(c *gateway.Config) { c.Resources[0].Scopes = []string{"offline_access"} }, "cannot be a scope"},
		"relative path":         {func(c *gateway.Config) { c.Resources[0].Path = "mcp" }, "plain path"},
		"no path":               {func(c *gateway.Config) { c.Resources[0].Path = "" }, "plain path"},
		"trailing slash":        {func(c *gateway.Config) { c.Resources[0].Path = "/mcp/" }, "plain path"},
		"wildcard":              {func(c *gateway.Config) { c.Resources[0].Path = "/mcp*" }, "plain path"},
		"placeholder":           {func(c *gateway.Config) { c.Resources[0].Path = "/{path}" }, "plain path"},
		"escape":                {func(c *gateway.Config) { c.Resources[0].Path = "/m%63p" }, "plain path"},
		"dot segments":          {func(c *gateway.Config) { c.Resources[0].Path = "/a/../mcp" }, "plain path"},
		"one dot":               {func(c *gateway.Config) { c.Resources[0].Path = "/." }, "plain path"},
		"empty segment":         {func(c *gateway.Config) { c.Resources[0].Path = "/a//mcp" }, "plain path"},
		"path parameter":        {func(c *gateway.Config) { c.Resources[0].Path = "/mcp;v=1" }, "plain path"},
		"line break":            {func(c *gateway.Config) { c.Resources[0].Path = "/mcp\n" }, "plain path"},
		"not ASCII":             {func(c *gateway.Config) { c.Resources[0].Path = "/mcp\u00e9" }, "plain path"},
		"bad further path":      {func(c *gateway.Config) { c.Resources[0].Also = []string{"sse"} }, "plain path"},
		"ours":                  {func(c *gateway.Config) { c.Resources[0].Path = "/token" }, "own endpoints"},
		"ours, in capitals":     {func(c *gateway.Config) { c.Resources[0].Path = "/Authorize/x" }, "own endpoints"},
		"well-known":            {func(c *gateway.Config) { c.Resources[0].Also = []string{"/.well-known/x"} }, "own endpoints"},
		"twice":                 {func(c *gateway.Config) { c.Resources[0].Also = []string{"/mcp"} }, "twice"},
		"twice, in capitals":    {func(c *gateway.Config) { c.Resources[0].Also = []string{"/MCP"} }, "twice"},
		"no upstream":           {func(c *gateway.Config) { c.Upstreams = nil }, "no upstream"},
		"one upstream twice":    {func(c *gateway.Config) { c.Upstreams = append(c.Upstreams, c.Upstreams[0]) }, "configured twice"},
		"useless upstream":      {func(c *gateway.Config) { c.Upstreams = []upstream.Upstream{uselessUpstream{}} }, "no way to sign in"},
		"no access token life":  {func(c *gateway.Config) { c.AccessTokenTTL = 0 }, "token lifetimes"},
		"negative life":         {func(c *gateway.Config) { c.AccessTokenTTL = -time.Hour }, "token lifetimes"},
		"refresh before access": {func(c *gateway.Config) { c.RefreshTokenTTL = time.Minute }, "token lifetimes"},
		"negative grace":        {func(c *gateway.Config) { c.RefreshGrace = -1 }, "token lifetimes"},
		"unknown mode":          {func(c *gateway.Config) { c.Registration.Mode = "" }, "unknown mode"},
		"short initial token":   {func(c *gateway.Config) { c.Registration = gateway.Registration{Mode: "token", Token: "short"} }, "at least 16"},
	} {
		cfg := w.config
		res := *cfg.Resources[0]
		cfg.Resources = []*gateway.Resource{&res}
		tt.spoil(&cfg)
		srv, err := gateway.New(w.state, cfg)
		if err == nil || srv != nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), issuer) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	// All of them at once, so that the operator mends them at once.
	cfg := w.config
	cfg.Resources, cfg.Upstreams, cfg.AccessTokenTTL = nil, nil, 0
	_, err := gateway.New(w.state, cfg)
	for _, want := range []string{"no resource", "no upstream", "token lifetimes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}

type uselessUpstream struct{}

func (uselessUpstream) Name() string  { return "github" }
func (uselessUpstream) Kind() string  { return identity.KindGitHub }
func (uselessUpstream) Label() string { return "GitHub" }

func TestValidateIssuer(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://mcp.example.com", "https://mcp.example.com:8443", "https://xn--mnchen-3ya.example", "https://192.0.2.1",
		"https://[2001:db8::1]:8443", "http://localhost:8080", "http://localhost", "http://127.0.0.1:9000", "http://[::1]:9000",
	} {
		if err := gateway.ValidateIssuer(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{
		"", "mcp.example.com", "//mcp.example.com", "ftp://mcp.example.com", "https://", "https:mcp.example.com",
		"https://mcp.example.com/", "https://mcp.example.com/oauth", "https://mcp.example.com?x", "https://mcp.example.com#x",
		"https://MCP.example.com", "HTTPS://mcp.example.com", "https://user@mcp.example.com", "https://mcp.example.com:443",
		"https://mcp.example.com:", "http://localhost:80", "http://mcp.example.com", "http://192.0.2.1", "http://127.0.0.1.example",
		"https://mcp.example.com ", "https://{host}", "https://*.example.com", "https://m\u00fcnchen.example", "https://mcp.example.com.",
	} {
		if gateway.ValidateIssuer(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestReservedAndSensitivePaths(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"/authorize", "/authorize/consent", "/token", "/TOKEN", "/register", "/register/x", "/callback", "/callback/github", "/revoke", "/introspect", "/jwks", "/account", "/signout", "/.well-known", "/.well-known/x"} {
		if !gateway.ReservedPath(p) {
			t.Errorf("%s is not reserved", p)
		}
	}
	for _, p := range []string{"/", "/mcp", "/tokens", "/authorized", "/callbacks", "/x/token", "/.well-knownx"} {
		if gateway.ReservedPath(p) {
			t.Errorf("%s is reserved", p)
		}
	}
	for p, want := range map[string]bool{"/authorize": true, "/authorize/consent": true, "/callback/github": true, "/token": false, "/mcp": false, "/authorized": false} {
		if gateway.SensitivePath(p) != want {
			t.Errorf("SensitivePath(%s) is %v", p, !want)
		}
	}
}
