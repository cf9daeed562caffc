// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// goodSeen is what a client sees of a server that does everything right.
func goodSeen(t *testing.T) *Seen {
	t.Helper()
	callback, err := url.Parse("http://127.0.0.1:1/cb?code=c&state=s&iss=https%3A%2F%2Fmcp.example.com")
	if err != nil {
		t.Fatal(err)
	}
	document := func(address, body string) *Answer {
		return &Answer{URL: address, Status: http.StatusOK, Body: []byte(body), Header: http.Header{
			"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}, "Access-Control-Allow-Origin": {"*"},
		}}
	}
	s := &Seen{
		URL: issuer + "/mcp", Redirect: "http://127.0.0.1:1/cb", State: "s", Callback: callback,
		First: &Answer{Status: http.StatusUnauthorized, Header: http.Header{
			"Www-Authenticate": {`Bearer resource_metadata="` + issuer + wellKnownResource + `/mcp", scope="mcp"`},
		}},
		Resource: document("prm", `{"resource":"`+issuer+`/mcp","authorization_servers":["`+issuer+`"]}`),
		Root:     document("root", `{"resource":"`+issuer+`","authorization_servers":["`+issuer+`"]}`),
		Server: document("as", `{"issuer":"`+issuer+`","authorization_endpoint":"`+issuer+`/authorize","token_endpoint":"`+issuer+`/token",
			"registration_endpoint":"`+issuer+`/register","response_types_supported":["code"],"code_challenge_methods_supported":["S256"],
			"token_endpoint_auth_methods_supported":["none","client_secret_basic"],"authorization_response_iss_parameter_supported":true}`),
		Preflights: []*Answer{{Status: http.StatusNoContent, Header: http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Allow-Headers": {"Content-Type, MCP-Protocol-Version"},
		}}},
		Asked:      json.RawMessage(`{"redirect_uris":["http://127.0.0.1:1/cb"],"token_endpoint_auth_method":"none"}`),
		Registered: document("reg", `{"client_id":"mcpc_1","redirect_uris":["http://127.0.0.1:1/cb"],"token_endpoint_auth_method":"none"}`),
		Token:      document("token", `{"access_token":"a","token_type":"Bearer","expires_in":3600,"refresh_token":"r"}`),
		Refreshed:  document("token", `{"access_token":"b","token_type":"Bearer","expires_in":3600,"refresh_token":"s"}`),
	}
	s.Registered.Status = http.StatusCreated
	return s
}

// confidential turns it into one with a secret.
func confidential(s *Seen) {
	s.Asked = json.RawMessage(`{"redirect_uris":["http://127.0.0.1:1/cb"],"token_endpoint_auth_method":"client_secret_basic"}`)
	s.Registered.Body = []byte(`{"client_id":"mcpc_1","client_secret":"mcpcs_1","client_secret_expires_at":0,
		"redirect_uris":["http://127.0.0.1:1/cb"],"token_endpoint_auth_method":"client_secret_basic"}`)
}

// edit replaces text of an answer's body.
func edit(a *Answer, old, replacement string) {
	a.Body = []byte(strings.ReplaceAll(string(a.Body), old, replacement))
}

// spoils are servers with one mistake each, by the rule that has to notice.
var spoils = []struct {
	rule, mistake string
	spoil         func(*Seen)
}{
	{"challenge-401", "a lazy 200", func(s *Seen) { s.First.Status = http.StatusOK }},
	{"challenge-401", "nothing asked", func(s *Seen) { s.First = nil }},
	{"challenge-bearer-first", "another scheme first", challengeIs(`Basic realm="x", Bearer resource_metadata="x"`)},
	{"challenge-bearer-first", "lower case", challengeIs(`bearer resource_metadata="x"`)},
	{"challenge-metadata", "no quotes", challengeIs(`Bearer resource_metadata=` + issuer)},
	{"challenge-metadata", "nothing", challengeIs(`Bearer realm="x"`)},
	{"challenge-path-metadata", "the root document", challengeIs(`Bearer resource_metadata="` + issuer + wellKnownResource + `"`)},
	{"challenge-same-origin", "another port", challengeIs(`Bearer resource_metadata="` + issuer + `:8443` + wellKnownResource + `/mcp"`)},
	{"challenge-bare", "an error", challengeIs(`Bearer error="invalid_token", resource_metadata="x"`)},
	{"challenge-bare", "no challenge", challengeIs(``)},
	{"prm-exact", "a slash", func(s *Seen) { edit(s.Resource, issuer+"/mcp", issuer+"/mcp/") }},
	{"prm-exact", "only a root document", func(s *Seen) { s.Resource = nil }},
	{"prm-equal", "a slash", func(s *Seen) { edit(s.Resource, issuer+"/mcp", issuer+"/mcp/") }},
	{"prm-equal", "the origin", func(s *Seen) { edit(s.Resource, issuer+"/mcp", issuer) }},
	{"prm-prefix", "a longer name", func(s *Seen) { edit(s.Resource, issuer+"/mcp", issuer+"/mcp2") }},
	{"prm-prefix", "half a segment", func(s *Seen) { edit(s.Resource, issuer+"/mcp", issuer+"/mc") }},
	{"prm-prefix", "another host", func(s *Seen) { edit(s.Resource, issuer+"/mcp", "https://evil.example/mcp") }},
	{"prm-prefix", "another scheme", func(s *Seen) { edit(s.Resource, issuer+"/mcp", "http://mcp.example.com/mcp") }},
	{"root-prm-origin", "the path", func(s *Seen) { edit(s.Root, `"`+issuer+`",`, `"`+issuer+`/mcp",`) }},
	{"root-prm-origin", "a slash", func(s *Seen) { edit(s.Root, `"`+issuer+`",`, `"`+issuer+`/",`) }},
	{"documents-json", "a login page", func(s *Seen) { s.Server.Header.Set("Content-Type", "text/html") }},
	{"documents-json", "a redirect", func(s *Seen) { s.Root.Status = http.StatusFound }},
	{"documents-json", "none", func(s *Seen) { s.Resource, s.Root, s.Server = nil, nil, nil }},
	{"no-nulls", "in the metadata", func(s *Seen) { edit(s.Server, "{", `{"jwks_uri":null,`) }},
	{"no-nulls", "in a list", func(s *Seen) { edit(s.Resource, "{", `{"x":[{"y":[1,null]}],`) }},
	{"no-nulls", "in the registration", func(s *Seen) { edit(s.Registered, "{", `{"client_uri":null,`) }},
	{"no-nulls", "in the refreshed tokens", func(s *Seen) { edit(s.Refreshed, "{", `{"scope":null,`) }},
	{"issuer-exact", "a slash", func(s *Seen) { edit(s.Server, `"issuer":"`+issuer, `"issuer":"`+issuer+"/") }},
	{"issuer-exact", "no servers", func(s *Seen) { edit(s.Resource, `["`+issuer+`"]`, `[]`) }},
	{"same-origin-server", "a server elsewhere", func(s *Seen) { edit(s.Resource, `["`+issuer, `["https://auth.example.com`) }},
	{"same-origin-server", "an endpoint elsewhere", func(s *Seen) { edit(s.Server, issuer+"/token", issuer+".evil.example/token") }},
	{"endpoint-names", "other names", func(s *Seen) { edit(s.Server, "/authorize", "/oauth/consent") }},
	{"pkce", "plain only", func(s *Seen) { edit(s.Server, "S256", "plain") }},
	{"pkce", "no code", func(s *Seen) { edit(s.Server, `["code"]`, `["token"]`) }},
	{"method-offered", "none is not", func(s *Seen) { edit(s.Server, `"none",`, "") }},
	{"cors", "not asked", func(s *Seen) { s.Preflights = nil }},
	{"cors", "a header is missing", func(s *Seen) { s.Preflights[0].Header.Set("Access-Control-Allow-Headers", "Content-Type") }},
	{"cors", "a preflight without answer", func(s *Seen) { s.Preflights[0].Status = http.StatusUnauthorized }},
	{"cors", "unreadable tokens", func(s *Seen) { s.Token.Header.Del("Access-Control-Allow-Origin") }},
	{"registered", "200", func(s *Seen) { s.Registered.Status = http.StatusOK }},
	{"registered", "another method", func(s *Seen) { edit(s.Registered, `"none"`, `"client_secret_basic"`) }},
	{"registered", "no id", func(s *Seen) { edit(s.Registered, "client_id", "id") }},
	{"registered-uris", "one dropped", func(s *Seen) { edit(s.Registered, `["http://127.0.0.1:1/cb"]`, `[]`) }},
	{"registered-uris", "one rewritten", func(s *Seen) { edit(s.Registered, "127.0.0.1:1", "127.0.0.1") }},
	{"no-secret", "one", func(s *Seen) { edit(s.Registered, "{", `{"client_secret":"x",`) }},
	{"no-secret", "an expiry of none", func(s *Seen) { edit(s.Registered, "{", `{"client_secret_expires_at":0,`) }},
	{"secret", "none", func(*Seen) {}},
	{"secret", "no expiry", func(s *Seen) { confidential(s); edit(s.Registered, "client_secret_expires_at", "x") }},
	{"plain-credentials", "a colon", func(s *Seen) { edit(s.Registered, "mcpc_1", "mcpc:1") }},
	{"plain-credentials", "a percent sign", func(s *Seen) { confidential(s); edit(s.Registered, "mcpcs_1", "mcpcs%1") }},
	{"callback-exact", "another port", func(s *Seen) { s.Callback.Host = "127.0.0.1:2" }},
	{"callback-exact", "a slash", func(s *Seen) { s.Callback.Path += "/" }},
	{"callback-exact", "none", func(s *Seen) { s.Callback = nil }},
	{"state", "another", func(s *Seen) { s.State = "t" }},
	{"state", "twice", func(s *Seen) { s.Callback.RawQuery += "&state=s" }},
	{"iss", "missing", func(s *Seen) { s.Callback.RawQuery = "code=c&state=s" }},
	{"iss", "another", func(s *Seen) { s.Callback.RawQuery = "code=c&state=s&iss=https%3A%2F%2Fevil.example" }},
	{"iss", "twice", func(s *Seen) { s.Callback.RawQuery += "&iss=x" }},
	{"iss-only-if-promised", "not promised", func(s *Seen) { edit(s.Server, "iss_parameter_supported", "x") }},
	{"token", "an error", func(s *Seen) { s.Token.Status = http.StatusBadRequest }},
	{"token", "cacheable", func(s *Seen) { s.Token.Header.Del("Cache-Control") }},
	{"token", "expiry as a string", func(s *Seen) { edit(s.Token, "3600", `"3600"`) }},
	{"token", "another type", func(s *Seen) { edit(s.Refreshed, "Bearer", "mac") }},
	{"refresh-token", "none", func(s *Seen) { edit(s.Token, "refresh_token", "x") }},
	{"refreshed", "the same access token", func(s *Seen) { edit(s.Refreshed, `"b"`, `"a"`) }},
	{"refreshed", "no refresh token", func(s *Seen) { edit(s.Refreshed, "refresh_token", "x") }},
}

func challengeIs(value string) func(*Seen) {
	return func(s *Seen) { s.First.Header.Set("WWW-Authenticate", value) }
}

// A rule that nothing can break guards nothing.
func TestRulesNoticeMistakes(t *testing.T) {
	t.Parallel()
	noticed := map[string]bool{}
	for _, tc := range spoils {
		noticed[tc.rule] = true
		t.Run(tc.rule+"/"+tc.mistake, func(t *testing.T) {
			t.Parallel()
			rule, ok := RuleNamed(tc.rule)
			if !ok {
				t.Fatalf("there is no rule %q", tc.rule)
			}
			s := goodSeen(t)
			tc.spoil(s)
			if err := rule.Check(s); err == nil {
				t.Error("not noticed")
			}
		})
	}
	for _, r := range Rules {
		if !noticed[r.Name] {
			t.Errorf("no mistake for the rule %q", r.Name)
		}
	}
}

// And one that nothing satisfies is as bad.
func TestRulesAcceptWhatIsRight(t *testing.T) {
	t.Parallel()
	for _, r := range Rules {
		s := goodSeen(t)
		if r.Name == "secret" {
			confidential(s)
		}
		if err := r.Check(s); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
	}
}

// Some rules forgive on purpose.
func TestRulesForgive(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Seen){
		"prm-equal":      func(s *Seen) { s.URL = issuer; edit(s.Resource, issuer+"/mcp", issuer+"/") },
		"prm-prefix":     func(s *Seen) { s.URL = issuer + "/mcp/?utm_source=x"; edit(s.Resource, issuer+"/mcp", issuer) },
		"iss":            func(s *Seen) { edit(s.Server, "iss_parameter_supported", "x"); s.Callback.RawQuery = "code=c&state=s" },
		"challenge-bare": challengeIs(`Bearer`),
	} {
		s := goodSeen(t)
		change(s)
		rule, _ := RuleNamed(name)
		if err := rule.Check(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Clients find out different things from the same answers.
func TestValues(t *testing.T) {
	t.Parallel()
	s := goodSeen(t)
	edit(s.Server, "{", `{"scopes_supported":["mcp","ops","offline_access"],`)
	v := s.Values()
	for name, want := range map[string]string{
		"prm": issuer + wellKnownResource + "/mcp", "root_prm": issuer + wellKnownResource, "as": issuer + wellKnownServer,
		"resource": issuer + "/mcp", "resource_url": issuer + "/mcp", "scope": "mcp", "as_scope": "mcp ops offline_access",
		"offline": " offline_access", "path": "/mcp", "origin": issuer,
	} {
		if v[name] != want {
			t.Errorf("%s is %q, want %q", name, v[name], want)
		}
	}
	bare := &Seen{URL: issuer, Root: &Answer{Body: []byte(`{"resource":"` + issuer + `","scopes_supported":["a","b"]}`)}}
	if v := bare.Values(); v["resource_url"] != issuer+"/" || v["scope"] != "a b" || v["offline"] != "" || v["prm"] != v["root_prm"] {
		t.Errorf("at the root: %v", v)
	}
	if got := Expand("{scope}{offline} {unknown}", v); got != "mcp offline_access {unknown}" {
		t.Errorf("expanded to %q", got)
	}
}
