// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

func discover(t *testing.T, p *provider, edit ...func(*Config)) (*metadata, error) {
	t.Helper()
	return p.connect(t, edit...).discovery.get(t.Context(), discoveryFresh)
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	p := newProvider(time.Now)
	m, err := discover(t, p)
	if err != nil {
		t.Fatal(err)
	}
	want := &metadata{
		authURL: theIssuer + "/authorize", tokenURL: theIssuer + "/token", keysURL: theIssuer + "/keys", userinfoURL: theIssuer + "/userinfo",
		algorithms: []string{"RS256", "ES256", "PS256", "EdDSA"}, authStyle: oauth2.AuthStyleInHeader,
		scopes: []string{"openid", "profile", "email", "offline_access"},
	}
	if diff := cmp.Diff(want, m, cmp.AllowUnexported(metadata{})); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if ua := p.requests[0].Header.Get("User-Agent"); ua != userAgent {
		t.Errorf("User-Agent %q", ua)
	}
}

// TestLeastDiscovery is a document with nothing but what is needed.
func TestLeastDiscovery(t *testing.T) {
	t.Parallel()
	p := newProvider(time.Now)
	for _, name := range []string{"userinfo_endpoint", "scopes_supported", "id_token_signing_alg_values_supported"} {
		delete(p.document, name)
	}
	m, err := discover(t, p)
	if err != nil {
		t.Fatal(err)
	}
	if m.userinfoURL != "" || m.scopes != nil || m.issued || !cmp.Equal(m.algorithms, []string{"RS256"}) {
		t.Errorf("metadata %+v", m)
	}
}

// TestAttackDiscovery: whoever can write the document, or stands in the way of a
// provider that does not watch itself, wants the secret and the tokens sent where
// they can be read, or keys taken from where they can be replaced.
func TestAttackDiscovery(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		says string
		edit func(claims)
	}{
		"another issuer":         {"the configuration about " + theIssuer, func(d claims) { d["issuer"] = "https://evil.example" }},
		"issuer with a slash":    {"the slash at the end matters", func(d claims) { d["issuer"] = theIssuer + "/" }},
		"issuer of many tenants": {"issuer of one tenant", func(d claims) { d["issuer"] = "https://login.microsoftonline.com/{tenantid}/v2.0" }},
		"no issuer":              {"issuer", func(d claims) { delete(d, "issuer") }},
		"issuers":                {"issuer", func(d claims) { d["issuer"] = []string{theIssuer} }},
		"token over http":        {"token_endpoint", func(d claims) { d["token_endpoint"] = "http://login.example.com/token" }},
		"token over loopback":    {"token_endpoint", func(d claims) { d["token_endpoint"] = "http://127.0.0.1/token" }},
		"keys over http":         {"jwks_uri", func(d claims) { d["jwks_uri"] = "http://login.example.com/keys" }},
		"keys from a file":       {"jwks_uri", func(d claims) { d["jwks_uri"] = "file:///etc/keys" }},
		"keys from nowhere":      {"jwks_uri", func(d claims) { delete(d, "jwks_uri") }},
		"keys in place":          {"jwks_uri", func(d claims) { d["jwks_uri"] = "data:application/json,{}" }},
		"sign-in by script":      {"authorization_endpoint", func(d claims) { d["authorization_endpoint"] = "javascript:alert(1)" }},
		"sign-in over http":      {"authorization_endpoint", func(d claims) { d["authorization_endpoint"] = "http://login.example.com/" }},
		"sign-in with password":  {"password", func(d claims) { d["authorization_endpoint"] = "https://a:b@login.example.com/" }},
		"sign-in is relative":    {"authorization_endpoint", func(d claims) { d["authorization_endpoint"] = "/authorize" }},
		"sign-in is no text":     {"authorization_endpoint", func(d claims) { d["authorization_endpoint"] = 1 }},
		"userinfo over http":     {"userinfo_endpoint", func(d claims) { d["userinfo_endpoint"] = "http://login.example.com/" }},
		"userinfo is no text":    {"userinfo_endpoint", func(d claims) { d["userinfo_endpoint"] = 1 }},
		"only HMAC":              {"HS256", func(d claims) { d["id_token_signing_alg_values_supported"] = []string{"HS256", "none"} }},
		"no algorithm":           {"id_tokens are signed with", func(d claims) { d["id_token_signing_alg_values_supported"] = []string{} }},
		"no secret is taken":     {"takes no client secret", func(d claims) { d["token_endpoint_auth_methods_supported"] = []string{"private_key_jwt"} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(time.Now)
			tc.edit(p.document)
			o := p.connect(t)
			_, err := o.AuthCodeURL(t.Context(), upstream.AuthRequest{State: "s", Verifier: "v", RedirectURI: redirectURI})
			wantRefusal(t, err, upstream.ReasonMisconfigured, tc.says)
			if len(p.requests) != 1 {
				t.Errorf("%d requests", len(p.requests))
			}
		})
	}
}

// TestAllMistakesOfADocument are reported together, too.
func TestAllMistakesOfADocument(t *testing.T) {
	t.Parallel()
	p := newProvider(time.Now)
	p.document["token_endpoint"], p.document["jwks_uri"] = "http://a.example", "http://b.example"
	_, err := discover(t, p)
	wantRefusal(t, err, upstream.ReasonMisconfigured, "token_endpoint", "jwks_uri")
}

// TestLoopbackProvider: a provider in development has http everywhere, also on
// another port.
func TestLoopbackProvider(t *testing.T) {
	t.Parallel()
	p := providerOf("http://localhost:5556/dex", time.Now)
	p.document["jwks_uri"] = "http://127.0.0.1:5557/keys"
	if _, err := discover(t, p); err != nil {
		t.Error(err)
	}
	p.document["jwks_uri"] = "http://10.0.0.1/keys"
	_, err := discover(t, p)
	wantRefusal(t, err, upstream.ReasonMisconfigured, "jwks_uri")
}

// TestDiscoveryFaults: what is not the document.
func TestDiscoveryFaults(t *testing.T) {
	t.Parallel()
	document := func(p *provider) string { return string(must(json.Marshal(p.document))) }
	for name, tc := range map[string]struct {
		reason upstream.Reason
		says   string
		serve  func(p *provider) http.HandlerFunc
	}{
		"404":      {upstream.ReasonMisconfigured, "is " + theIssuer + " the issuer?", func(*provider) http.HandlerFunc { return send(404, "", "") }},
		"redirect": {upstream.ReasonMisconfigured, "status 302", func(*provider) http.HandlerFunc { return redirect("https://evil.example/") }},
		"500":      {upstream.ReasonUnavailable, "status 500", func(*provider) http.HandlerFunc { return send(500, "", "SECRET") }},
		"403":      {upstream.ReasonUnavailable, "status 403", func(*provider) http.HandlerFunc { return send(403, "", "") }},
		"206":      {upstream.ReasonUnavailable, "status 206", func(p *provider) http.HandlerFunc { return send(206, "application/json", document(p)) }},
		"page":     {upstream.ReasonUnavailable, "not a JSON object", func(*provider) http.HandlerFunc { return send(200, "text/html", "<html>") }},
		"empty":    {upstream.ReasonUnavailable, "not a JSON object", func(*provider) http.HandlerFunc { return send(200, "application/json", "") }},
		"null":     {upstream.ReasonUnavailable, "not a JSON object", func(*provider) http.HandlerFunc { return send(200, "application/json", "null") }},
		"list":     {upstream.ReasonUnavailable, "not a JSON object", func(p *provider) http.HandlerFunc { return send(200, "application/json", "["+document(p)+"]") }},
		"two":      {upstream.ReasonUnavailable, "not a JSON object", func(p *provider) http.HandlerFunc { return send(200, "application/json", document(p)+document(p)) }},
		"half": {upstream.ReasonUnavailable, "not a JSON object", func(p *provider) http.HandlerFunc {
			d := document(p)
			return send(200, "application/json", d[:len(d)/2])
		}},
		"twice": {upstream.ReasonUnavailable, "a member twice", func(p *provider) http.HandlerFunc {
			return send(200, "application/json", strings.TrimSuffix(document(p), "}")+`,"jwks_uri":"https://evil.example"}`)
		}},
		"a gigabyte": {upstream.ReasonUnavailable, "longer than", func(*provider) http.HandlerFunc {
			return send(200, "application/json", `{"a":"`+strings.Repeat("a", maxBody))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(time.Now)
			p.routes[p.at("discovery")] = tc.serve(p)
			_, err := discover(t, p)
			wantRefusal(t, err, tc.reason, tc.says)
			keepsSecret(t, err, "SECRET", "evil")
		})
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}
