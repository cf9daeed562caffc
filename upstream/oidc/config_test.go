// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"strings"
	"testing"
)

func valid() Config {
	return Config{Name: "company", Issuer: theIssuer, ClientID: theClient, ClientSecret: theSecret}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit func(*Config)
		says string
	}{
		"valid":                    {func(*Config) {}, ""},
		"public client":            {func(c *Config) { c.ClientSecret = "" }, ""},
		"slash at the end":         {func(c *Config) { c.Issuer = "https://acme.eu.auth0.com/" }, ""},
		"path":                     {func(c *Config) { c.Issuer = "https://sso.example.com/realms/company" }, ""},
		"port":                     {func(c *Config) { c.Issuer = "https://sso.example.com:8443" }, ""},
		"loopback":                 {func(c *Config) { c.Issuer = "http://localhost:5556/dex" }, ""},
		"loopback address":         {func(c *Config) { c.Issuer = "http://127.0.0.1:5556/dex" }, ""},
		"IPv6 loopback":            {func(c *Config) { c.Issuer = "http://[::1]:5556" }, ""},
		"nested claim":             {func(c *Config) { c.GroupsClaim = "resource_access.mcp.roles" }, ""},
		"claim that is a URL":      {func(c *Config) { c.GroupsClaim = "https://acme.example/groups" }, ""},
		"Entra tenant":             {func(c *Config) { c.Issuer = entraIssuer }, ""},
		"no name":                  {func(c *Config) { c.Name = "" }, "write oidc <name>"},
		"name with a slash":        {func(c *Config) { c.Name = "a/b" }, "callback URL"},
		"name with a colon":        {func(c *Config) { c.Name = "a:b" }, "callback URL"},
		"name without end":         {func(c *Config) { c.Name = strings.Repeat("a", 101) }, "longer"},
		"no issuer":                {func(c *Config) { c.Issuer = "" }, "issuer is missing"},
		"no URL":                   {func(c *Config) { c.Issuer = "login.example.com" }, "absolute URL"},
		"broken URL":               {func(c *Config) { c.Issuer = "https://u:SECRET@ex ample.com" }, "issuer is not a URL"},
		"http":                     {func(c *Config) { c.Issuer = "http://login.example.com" }, "must be https"},
		"http, almost loopback":    {func(c *Config) { c.Issuer = "http://localhost.example.com" }, "must be https"},
		"another scheme":           {func(c *Config) { c.Issuer = "ftp://login.example.com" }, "absolute URL"},
		"query":                    {func(c *Config) { c.Issuer = theIssuer + "?p=b2c" }, "no query"},
		"empty query":              {func(c *Config) { c.Issuer = theIssuer + "?" }, "no query"},
		"fragment":                 {func(c *Config) { c.Issuer = theIssuer + "#" }, "no fragment"},
		"password":                 {func(c *Config) { c.Issuer = "https://u:SECRET@login.example.com" }, "password"},
		"document":                 {func(c *Config) { c.Issuer = theIssuer + "/.well-known/openid-configuration" }, "before /.well-known/"},
		"template":                 {func(c *Config) { c.Issuer = "https://login.microsoftonline.com/{tenantid}/v2.0" }, "tenant's own identifier"},
		"Entra for all":            {func(c *Config) { c.Issuer = "https://login.microsoftonline.com/common/v2.0" }, "<directory (tenant) id>"},
		"Entra for all companies":  {func(c *Config) { c.Issuer = "https://login.microsoftonline.com/organizations/v2.0" }, "anybody can make one"},
		"Entra, capitals":          {func(c *Config) { c.Issuer = "https://Login.MicrosoftOnline.com/Common/v2.0" }, "anybody can make one"},
		"Entra for persons":        {func(c *Config) { c.Issuer = "https://login.microsoftonline.com/consumers/v2.0" }, "9188040d"},
		"Entra of the government":  {func(c *Config) { c.Issuer = "https://login.microsoftonline.us/common/v2.0" }, "anybody can make one"},
		"no client id":             {func(c *Config) { c.ClientID = "" }, "client_id is missing"},
		"client id, line break":    {func(c *Config) { c.ClientID = "SECRET\n" }, "line break"},
		"secret, line break":       {func(c *Config) { c.ClientSecret = "SECRET\n" }, "line break"},
		"secret, placeholder":      {func(c *Config) { c.ClientSecret = "{env.SECRET}" }, "placeholder"},
		"scopes in one":            {func(c *Config) { c.Scopes = []string{"openid email"} }, "separated by blanks"},
		"empty scope":              {func(c *Config) { c.Scopes = []string{""} }, "one scope"},
		"scope with a quote":       {func(c *Config) { c.Scopes = []string{`a"b`} }, "one scope"},
		"claim with empty segment": {func(c *Config) { c.GroupsClaim = "realm_access..roles" }, "groups_claim"},
		"claim with a dot at last": {func(c *Config) { c.GroupsClaim = "groups." }, "groups_claim"},
		"claim with a line break":  {func(c *Config) { c.GroupsClaim = "groups\n" }, "groups_claim"},
		"claim without end":        {func(c *Config) { c.GroupsClaim = strings.Repeat("a", maxText+1) }, "groups_claim"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := valid()
			tc.edit(&cfg)
			o, err := New(cfg)
			if tc.says == "" {
				if err != nil || o == nil {
					t.Errorf("error %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %q does not say %q", err, tc.says)
			}
			keepsSecret(t, err, "SECRET", theSecret)
		})
	}
}

// TestAllMistakesTogether: whoever has several learns of all at once.
func TestAllMistakesTogether(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Name: "a b", Scopes: []string{""}, GroupsClaim: "."})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, says := range []string{`oidc upstream "a b"`, "callback URL", "issuer is missing", "client_id is missing", "one scope", "groups_claim"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("error %q does not say %q", err, says)
		}
	}
}

func TestLabel(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]string{
		googleIssuer:                    "Google",
		entraIssuer:                     "Microsoft",
		"https://sso.example.com/a/b":   "company (sso.example.com)",
		"http://localhost:5556/dex":     "company (localhost:5556)",
		"https://accounts.google.com/":  "company (accounts.google.com)",
		"https://google.com.evil.org":   "company (google.com.evil.org)",
		"https://login.example.com/a/b": "company (login.example.com)",
	} {
		cfg := valid()
		cfg.Issuer = issuer
		o, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.Label(); got != want {
			t.Errorf("%s is labelled %q, want %q", issuer, got, want)
		}
	}
}
