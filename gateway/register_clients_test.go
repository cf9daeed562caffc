// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// mcpClient is a real client: what it registers, and how it goes on. Recorded
// from the programs, from captured requests in public issues, or from vendors'
// documentation, November 2026.
type mcpClient struct {
	name, body string
	// redirect is the address it then uses, which need not be a registered port.
	redirect string
	// method is what the answer must say; how is how it then authenticates:
	// "none", "post", "basic" or "empty" (an empty secret).
	method, how string
	// authorize overrides the authorization request: name, value …
	authorize []string
	// noResourceAtToken: it sends `resource` at /authorize only, if at all.
	noResourceAtToken bool
	applicationType   string
}

const sdkGrants = `"grant_types":["authorization_code","refresh_token"],"response_types":["code"]`

var mcpClients = []mcpClient{
	{
		name:     "claude.ai",
		body:     `{"client_name":"Claude","redirect_uris":["https://claude.ai/api/mcp/auth_callback"],"token_endpoint_auth_method":"none","scope":"mcp",` + sdkGrants + `}`,
		redirect: "https://claude.ai/api/mcp/auth_callback", method: "none", how: "none", applicationType: "web",
	},
	{
		name:     "Claude Code",
		body:     `{"client_name":"Claude Code (weather)","redirect_uris":["http://localhost:3118/callback"],"token_endpoint_auth_method":"none","application_type":"native",` + sdkGrants + `}`,
		redirect: "http://localhost:53682/callback", method: "none", how: "none", applicationType: "native",
		authorize: []string{"resource", resource + "?utm_source=claude"},
	},
	{
		name:     "ChatGPT",
		body:     `{"client_name":"ChatGPT","redirect_uris":["https://chatgpt.com/connector/oauth/aB3-x_Y9"],"token_endpoint_auth_method":"none",` + sdkGrants + `}`,
		redirect: "https://chatgpt.com/connector/oauth/aB3-x_Y9", method: "none", how: "none", applicationType: "web",
		authorize: []string{"resource", resource + "?kb_name=docs"},
	},
	{
		name:     "Codex, old",
		body:     `{"client_name":"Codex","redirect_uris":["http://127.0.0.1:41233/callback/q1w2e3r4t5y6"],"token_endpoint_auth_method":"none","application_type":"native",` + sdkGrants + `}`,
		redirect: "http://127.0.0.1:41233/callback/q1w2e3r4t5y6", method: "none", how: "none", applicationType: "native",
		authorize: []string{"resource", ""}, noResourceAtToken: true,
	},
	{
		name: "Cursor",
		body: `{"client_name":"Cursor","redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback",` +
			`"https://www.cursor.com/agents/mcp/oauth/callback","http://localhost:8787/callback"],"token_endpoint_auth_method":"none",` + sdkGrants + `}`,
		redirect: "cursor://anysphere.cursor-mcp/oauth/callback", method: "none", how: "none", applicationType: "native",
	},
	{
		name: "VS Code",
		body: `{"client_name":"Visual Studio Code","client_uri":"https://code.visualstudio.com","grant_types":["authorization_code","refresh_token",` +
			`"urn:ietf:params:oauth:grant-type:device_code"],"response_types":["code"],"redirect_uris":["https://insiders.vscode.dev/redirect",` +
			`"https://vscode.dev/redirect","http://127.0.0.1/","http://127.0.0.1:33418/"],"token_endpoint_auth_method":"none","application_type":"native"}`,
		redirect: "http://127.0.0.1:33418/", method: "none", how: "none", applicationType: "native",
	},
	{
		name: "MCP Inspector 1",
		body: `{"redirect_uris":["http://localhost:6274/oauth/callback","http://localhost:6274/oauth/callback/debug"],"token_endpoint_auth_method":"none",` +
			sdkGrants + `,"client_name":"MCP Inspector","client_uri":"https://github.com/modelcontextprotocol/inspector","scope":""}`,
		redirect: "http://localhost:6274/oauth/callback/debug", method: "none", how: "none", applicationType: "native",
		authorize: []string{"scope", "", "resource", resource + "/"},
	},
	{
		name:     "MCP Inspector 2 CLI",
		body:     `{"client_name":"MCP Inspector","redirect_uris":["http://127.0.0.1:6276/oauth/callback"],"scope":"","application_type":"native","token_endpoint_auth_method":"none",` + sdkGrants + `}`,
		redirect: "http://127.0.0.1:6276/oauth/callback", method: "none", how: "none", applicationType: "native",
	},
	{
		name: "mcp-remote",
		body: `{"client_name":"MCP CLI Proxy","client_uri":"https://github.com/geelen/mcp-remote","redirect_uris":["http://localhost:38351/oauth/callback"],` +
			`"software_id":"2e6dc280-f3c3-4e01-99a7-8181dbd1d23d","software_version":"0.1.38","token_endpoint_auth_method":"none","application_type":"native",` + sdkGrants + `}`,
		redirect: "http://localhost:38353/oauth/callback", method: "none", how: "none", applicationType: "native",
		authorize: []string{"scope", "openid email profile", "prompt", "consent"},
	},
	{
		name:     "Gemini CLI",
		body:     `{"client_name":"Gemini CLI MCP Client","redirect_uris":["http://localhost:7777/oauth/callback"],` + sdkGrants + `,"token_endpoint_auth_method":"none","scope":""}`,
		redirect: "http://localhost:7777/oauth/callback", method: "none", how: "none", applicationType: "native",
	},
	{
		name:     "Goose",
		body:     `{"client_name":"goose","redirect_uris":["http://127.0.0.1:50999/oauth_callback"],"token_endpoint_auth_method":"none","application_type":"native",` + sdkGrants + `}`,
		redirect: "http://127.0.0.1:50999/oauth_callback", method: "none", how: "empty", applicationType: "native",
	},
	{
		name:     "opencode",
		body:     `{"client_name":"OpenCode","redirect_uris":["http://127.0.0.1:19876/mcp/oauth/callback"],"token_endpoint_auth_method":"none",` + sdkGrants + `}`,
		redirect: "http://127.0.0.1:19876/mcp/oauth/callback", method: "none", how: "none", applicationType: "native",
	},
	{
		name: "Grok",
		body: `{"client_name":"Grok","redirect_uris":["https://grok.com/connectors-oauth-exchange-code/","https://console.x.ai/connectors-oauth-exchange-code/"],` +
			`"token_endpoint_auth_method":"none",` + sdkGrants + `}`,
		redirect: "https://grok.com/connectors-oauth-exchange-code/", method: "none", how: "none", applicationType: "web",
	},
	{
		name: "Le Chat",
		body: `{"client_name":"Mistral","redirect_uris":["https://callback.mistral.ai/v1/integrations_auth/oauth2_callback"],` +
			`"token_endpoint_auth_method":"client_secret_basic",` + sdkGrants + `}`,
		redirect: "https://callback.mistral.ai/v1/integrations_auth/oauth2_callback", method: "client_secret_basic", how: "basic", applicationType: "web",
	},
	{
		name:     "Copilot Studio",
		body:     `{"client_name":"Power Platform","redirect_uris":["https://global.consent.azure-apim.net/redirect/cr2f1-5fweather"],"logo_uri":"","tos_uri":null}`,
		redirect: "https://global.consent.azure-apim.net/redirect/cr2f1-5fweather", method: "client_secret_basic", how: "post", applicationType: "web",
		authorize: []string{"scope", "", "resource", ""}, noResourceAtToken: true,
	},
	{
		name:     "Perplexity, which pastes a secret anyway",
		body:     `{"client_name":"Perplexity","redirect_uris":["https://www.perplexity.ai/rest/connections/oauth_callback"],"token_endpoint_auth_method":"client_secret_post",` + sdkGrants + `}`,
		redirect: "https://www.perplexity.ai/rest/connections/oauth_callback", method: "client_secret_post", how: "basic", applicationType: "web",
	},
	{
		name:     "Cline",
		body:     `{"client_name":"Cline","redirect_uris":["vscode://saoudrizwan.claude-dev/mcp-auth/callback/abc"],"token_endpoint_auth_method":"none",` + sdkGrants + `}`,
		redirect: "vscode://saoudrizwan.claude-dev/mcp-auth/callback/abc", method: "none", how: "none", applicationType: "native",
	},
	{
		name: "go-sdk",
		body: `{"client_name":"go client","redirect_uris":["http://127.0.0.1:40000/"],"token_endpoint_auth_method":"none","application_type":"native",` + sdkGrants +
			`,"jwks":{"keys":[]},"contacts":["a@b.example"],"x_future":{"a":[1,2,{"b":null}]}}`,
		redirect: "http://127.0.0.1:40000/", method: "none", how: "none", applicationType: "native",
		authorize: []string{"scope", "mcp offline_access"}, noResourceAtToken: true,
	},
}

// Each of them gets from its registration to a refreshed call.
func TestRealClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range mcpClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := c.register(t, w)
			loc := location(t, w.browser().signIn(authorizeQuery(reg.ClientID, c.redirect, c.authorize...)))
			if !strings.HasPrefix(loc.String(), c.redirect+"?") {
				t.Errorf("answer goes to %s", loc)
			}
			wantOnce(t, loc, map[string]string{"code": "*", "state": "client-state"})
			f := with(codeForm(reg.ClientID, loc.Query().Get("code")), "redirect_uri", c.redirect)
			tok := c.token(t, w, reg, f)
			w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
			next := c.token(t, w, reg, with(refreshForm(reg.ClientID, tok.RefreshToken), "resource", resource))
			w.wantCall("/mcp", next.AccessToken, http.StatusOK)
		})
	}
}

// register checks the answer: what was asked for is there, and nothing is null,
// which the TypeScript SDK refuses.
func (c mcpClient) register(t *testing.T, w *world) registered {
	t.Helper()
	resp := w.postJSON(oauth.PathRegister, c.body, "Origin", "http://localhost:6274")
	raw := body(t, resp)
	if resp.StatusCode != http.StatusCreated || resp.Header.Get("Cache-Control") != "no-store" ||
		resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %s", resp.StatusCode, resp.Header, raw)
	}
	var asked, got map[string]any
	if json.Unmarshal([]byte(c.body), &asked) != nil || json.Unmarshal([]byte(raw), &got) != nil || strings.Contains(raw, "null") {
		t.Fatalf("answer %s", raw)
	}
	uris, _ := got["redirect_uris"].([]any)
	if want, _ := asked["redirect_uris"].([]any); !slices.Equal(uris, want) {
		t.Errorf("redirect_uris %v, want %v", uris, want)
	}
	_, secret := got["client_secret"]
	expires, expiry := got["client_secret_expires_at"]
	if confidential := c.method != "none"; got["token_endpoint_auth_method"] != c.method ||
		secret != confidential || expiry != confidential || confidential && expires != 0.0 {
		t.Errorf("authentication of %s", raw)
	}
	if got["application_type"] != c.applicationType || got["client_name"] != asked["client_name"] ||
		got["client_id_issued_at"] != float64(w.clock.Now().Unix()) {
		t.Errorf("answer %s", raw)
	}
	var r registered
	if err := json.Unmarshal([]byte(raw), &r); err != nil || !strings.HasPrefix(r.ClientID, "mcpc_") {
		t.Errorf("client_id %q, %v", r.ClientID, err)
	}
	return r
}

func (c mcpClient) token(t *testing.T, w *world, reg registered, f url.Values) tokens {
	t.Helper()
	if c.noResourceAtToken {
		f.Del("resource")
	}
	switch c.how {
	case "empty":
		f.Set("client_secret", "")
	case "post":
		f.Set("client_secret", reg.ClientSecret)
	case "basic":
		f.Del("client_id")
		return w.redeem(f, "Authorization", basic(reg.ClientID, reg.ClientSecret))
	}
	return w.redeem(f)
}
