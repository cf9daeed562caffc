// SPDX-License-Identifier: Apache-2.0

package github

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := Config{ClientID: "id", ClientSecret: "s3cret"}
	for name, tc := range map[string]struct {
		edit func(*Config)
		want []string
	}{
		"no client id":         {func(c *Config) { c.ClientID = "" }, []string{"client_id is missing"}},
		"no client secret":     {func(c *Config) { c.ClientSecret = "" }, []string{"client_secret is missing"}},
		"line break":           {func(c *Config) { c.ClientSecret = "s3cret\n" }, []string{"client_secret", "line break"}},
		"not ascii":            {func(c *Config) { c.ClientID = "ıd" }, []string{"client_id"}},
		"placeholder":          {func(c *Config) { c.ClientSecret = "{env.SECRET}" }, []string{"client_secret contains an unresolved placeholder"}},
		"http":                 {func(c *Config) { c.BaseURL = "http://ghe.example.com" }, []string{"base_url", "must be https"}},
		"http api":             {func(c *Config) { c.APIURL = "http://api.example.com" }, []string{"api_url", "must be https"}},
		"http lookalike":       {func(c *Config) { c.BaseURL = "http://localhost.example.com" }, []string{"must be https"}},
		"http 127 lookalike":   {func(c *Config) { c.BaseURL = "http://127.0.0.1.example.com" }, []string{"must be https"}},
		"relative":             {func(c *Config) { c.BaseURL = "ghe.example.com" }, []string{"absolute URL"}},
		"no host":              {func(c *Config) { c.BaseURL = "https:///x" }, []string{"absolute URL"}},
		"other scheme":         {func(c *Config) { c.BaseURL = "ftp://ghe.example.com" }, []string{"absolute URL"}},
		"opaque":               {func(c *Config) { c.BaseURL = "https:ghe.example.com" }, []string{"absolute URL"}},
		"query":                {func(c *Config) { c.BaseURL = "https://ghe.example.com?x=1" }, []string{"no query"}},
		"fragment":             {func(c *Config) { c.BaseURL = "https://ghe.example.com#x" }, []string{"no fragment"}},
		"empty fragment":       {func(c *Config) { c.BaseURL = "https://ghe.example.com#" }, []string{"no fragment"}},
		"user info":            {func(c *Config) { c.BaseURL = "https://a:hunter2@ghe.example.com" }, []string{"user name or password"}},
		"unparsable":           {func(c *Config) { c.BaseURL = "https://a:hunter2@[ghe" }, []string{"base_url is not a URL"}},
		"name":                 {func(c *Config) { c.Name = "a/b" }, []string{"callback URL"}},
		"name with colon":      {func(c *Config) { c.Name = "a:b" }, []string{"callback URL"}},
		"scopes in one string": {func(c *Config) { c.Scopes = []string{"repo gist"} }, []string{"separated by blanks"}},
		"scopes with comma":    {func(c *Config) { c.Scopes = []string{"repo,gist"} }, []string{"separated by blanks"}},
		"empty scope":          {func(c *Config) { c.Scopes = []string{""} }, []string{"not one scope"}},
		"all together": {
			func(c *Config) { *c = Config{Name: "ghe", BaseURL: "http://x", Scopes: []string{","}} },
			[]string{`upstream "ghe"`, "client_id", "client_secret", "base_url", "scopes"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			tc.edit(&cfg)
			g, err := New(cfg)
			if err == nil || g != nil {
				t.Fatalf("accepted: %v, %v", g, err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q: %v", want, err)
				}
			}
			keepsSecret(t, err, "hunter2", "s3cret")
		})
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		base, api         string
		auth, user, label string
	}{
		"github.com":       {"", "", "https://github.com/login/oauth/authorize", "https://api.github.com/user", "GitHub"},
		"github.com named": {"https://github.com", "", "https://github.com/login/oauth/authorize", "https://api.github.com/user", "GitHub"},
		"github.com spelt": {"https://GitHub.com:443/", "", "https://github.com/login/oauth/authorize", "https://api.github.com/user", "GitHub"},
		"server":           {"https://ghe.example.com", "", "https://ghe.example.com/login/oauth/authorize", "https://ghe.example.com/api/v3/user", "GitHub (ghe.example.com)"},
		"server, slash":    {"https://ghe.example.com/", "", "https://ghe.example.com/login/oauth/authorize", "https://ghe.example.com/api/v3/user", "GitHub (ghe.example.com)"},
		"server, api":      {"https://ghe.example.com", "https://api.ghe.example.com/", "https://ghe.example.com/login/oauth/authorize", "https://api.ghe.example.com/user", "GitHub (ghe.example.com)"},
		"data residency":   {"https://octocorp.ghe.com", "", "https://octocorp.ghe.com/login/oauth/authorize", "https://api.octocorp.ghe.com/user", "GitHub (octocorp.ghe.com)"},
		"loopback":         {"http://127.0.0.1:8080", "", "http://127.0.0.1:8080/login/oauth/authorize", "http://127.0.0.1:8080/api/v3/user", "GitHub (127.0.0.1:8080)"},
		"loopback v6":      {"http://[::1]:8080", "", "http://[::1]:8080/login/oauth/authorize", "http://[::1]:8080/api/v3/user", "GitHub ([::1]:8080)"},
		"localhost":        {"http://localhost:8080", "http://localhost:8081", "http://localhost:8080/login/oauth/authorize", "http://localhost:8081/user", "GitHub (localhost:8080)"},
		"below a path":     {"https://x.example/gh", "", "https://x.example/gh/login/oauth/authorize", "https://x.example/gh/api/v3/user", "GitHub (x.example)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, err := New(Config{ClientID: "id", ClientSecret: "secret", BaseURL: tc.base, APIURL: tc.api})
			if err != nil {
				t.Fatal(err)
			}
			user := g.newSession("t").endpoint("user").String()
			if diff := cmp.Diff([]string{tc.auth, tc.user, tc.label}, []string{g.oauth.Endpoint.AuthURL, user, g.Label()}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	unnamed, err := New(Config{ClientID: "id", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	named, err := New(Config{Name: "partners", ClientID: "id", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{unnamed.Name(), unnamed.Kind(), unnamed.Label(), named.Name(), named.Kind(), named.Label()}
	if diff := cmp.Diff([]string{"github", "github", "GitHub", "partners", "github", "GitHub (partners)"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestScopes holds that nothing is asked for that no rule needs: people read
// GitHub's page.
func TestScopes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		needs policy.Needs
		extra []string
		want  []string
	}{
		"least":     {policy.Needs{}, nil, []string{"read:user", "user:email"}},
		"orgs":      {policy.Needs{Orgs: true}, nil, []string{"read:user", "user:email", "read:org"}},
		"teams":     {policy.Needs{Teams: true}, nil, []string{"read:user", "user:email", "read:org"}},
		"extra":     {policy.Needs{}, []string{"repo", "gist", "repo"}, []string{"read:user", "user:email", "repo", "gist"}},
		"no repeat": {needBoth, []string{"read:org", "read:user"}, []string{"read:user", "user:email", "read:org"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, err := New(Config{ClientID: "id", ClientSecret: "secret", Needs: tc.needs, Scopes: tc.extra})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, g.Scopes()); diff != "" {
				t.Error(diff)
			}
			g.Scopes()[0] = "admin:org"
			if diff := cmp.Diff(tc.want, g.Scopes()); diff != "" {
				t.Errorf("the caller can change what is asked for: %s", diff)
			}
		})
	}
}

// TestAuthCodeURL uses the verifier and challenge of RFC 7636 Appendix B.
func TestAuthCodeURL(t *testing.T) {
	t.Parallel()
	g, err := New(Config{ClientID: "Ov23li", ClientSecret: "s3cret", Needs: needBoth})
	if err != nil {
		t.Fatal(err)
	}
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	u, err := url.Parse(authCodeURL(t, g, "a b&c", verifier))
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"response_type":         {"code"},
		"client_id":             {"Ov23li"},
		"redirect_uri":          {redirectURI},
		"scope":                 {"read:user user:email read:org"},
		"state":                 {"a b&c"},
		"code_challenge":        {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"},
		"code_challenge_method": {"S256"},
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" {
		t.Error(diff)
	}
	if u.Scheme+"://"+u.Host+u.Path != "https://github.com/login/oauth/authorize" {
		t.Errorf("browser is sent to %s", u)
	}
}
