// SPDX-License-Identifier: Apache-2.0

package oauth

// The redirect URIs of real clients, as captured from them, as documented by
// their vendors or as read in their sources (November 2026).

type clientRedirect struct {
	uri   string
	kind  RedirectKind
	shown string
}

var clientRedirects = []struct {
	client string
	uris   []clientRedirect
}{
	{"claude.ai", []clientRedirect{
		{"https://claude.ai/api/mcp/auth_callback", RedirectHTTPS, "claude.ai"},
		{"https://claude.com/api/mcp/auth_callback", RedirectHTTPS, "claude.com"},
	}},
	{"Claude Code", []clientRedirect{
		{"http://localhost:3118/callback", RedirectLoopback, "localhost:3118"},
		{"http://localhost/callback", RedirectLoopback, "localhost"},
		{"http://127.0.0.1/callback", RedirectLoopback, "127.0.0.1"},
	}},
	{"ChatGPT", []clientRedirect{
		{"https://chatgpt.com/connector/oauth/aB3-x_Y9", RedirectHTTPS, "chatgpt.com"},
		{"https://chatgpt.com/connector_platform_oauth_redirect", RedirectHTTPS, "chatgpt.com"},
		{"https://chat.openai.com/connector_platform_oauth_redirect", RedirectHTTPS, "chat.openai.com"},
	}},
	{"Codex", []clientRedirect{
		{"http://127.0.0.1:41233/callback/q1w2e3r4t5y6", RedirectLoopback, "127.0.0.1:41233"},
	}},
	{"Cursor", []clientRedirect{
		{"cursor://anysphere.cursor-mcp/oauth/callback", RedirectPrivateUse, "cursor://anysphere.cursor-mcp"},
		{"https://www.cursor.com/agents/mcp/oauth/callback", RedirectHTTPS, "www.cursor.com"},
		{"http://localhost:8787/callback", RedirectLoopback, "localhost:8787"},
	}},
	{"VS Code", []clientRedirect{
		{"https://insiders.vscode.dev/redirect", RedirectHTTPS, "insiders.vscode.dev"},
		{"https://vscode.dev/redirect", RedirectHTTPS, "vscode.dev"},
		{"http://127.0.0.1/", RedirectLoopback, "127.0.0.1"},
		{"http://127.0.0.1:33418/", RedirectLoopback, "127.0.0.1:33418"},
	}},
	{"Inspector", []clientRedirect{
		{"http://localhost:6274/oauth/callback", RedirectLoopback, "localhost:6274"},
		{"http://localhost:6274/oauth/callback/debug", RedirectLoopback, "localhost:6274"},
		{"http://127.0.0.1:6276/oauth/callback", RedirectLoopback, "127.0.0.1:6276"},
	}},
	{"mcp-remote", []clientRedirect{
		{"http://localhost:38351/oauth/callback", RedirectLoopback, "localhost:38351"},
	}},
	{"Gemini CLI", []clientRedirect{
		{"http://localhost:7777/oauth/callback", RedirectLoopback, "localhost:7777"},
	}},
	{"Goose", []clientRedirect{
		{"http://127.0.0.1:50999/oauth_callback", RedirectLoopback, "127.0.0.1:50999"},
	}},
	{"opencode", []clientRedirect{
		{"http://127.0.0.1:19876/mcp/oauth/callback", RedirectLoopback, "127.0.0.1:19876"},
	}},
	{"Grok", []clientRedirect{
		{"https://grok.com/connectors-oauth-exchange-code/", RedirectHTTPS, "grok.com"},
		{"https://console.x.ai/connectors-oauth-exchange-code/", RedirectHTTPS, "console.x.ai"},
	}},
	{"Le Chat", []clientRedirect{
		{"https://callback.mistral.ai/v1/integrations_auth/oauth2_callback", RedirectHTTPS, "callback.mistral.ai"},
	}},
	{"Copilot Studio", []clientRedirect{
		{"https://global.consent.azure-apim.net/redirect/cr2f1-5fweather-20mcp-5f1c2d", RedirectHTTPS, "global.consent.azure-apim.net"},
	}},
	{"Cline", []clientRedirect{
		{"vscode://saoudrizwan.claude-dev/mcp-auth/callback/abc", RedirectPrivateUse, "vscode://saoudrizwan.claude-dev"},
	}},
	{"Claude deep link", []clientRedirect{
		{"claude://claude.ai/mcp-auth-callback", RedirectPrivateUse, "claude://claude.ai"},
	}},
}
