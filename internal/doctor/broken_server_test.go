// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/http"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
)

var brokenServers = []broken{
	{
		name: "no server metadata", breaks: at(wellKnownServer, cors(status(http.StatusNotFound))),
		fails: []string{checkServer}, clients: []string{chatGPT, geminiCLI, grok, secretKeeper},
	},
	{
		name: "no server metadata, nothing to guess", breaks: both(at(wellKnownServer, cors(status(404))), at("/authorize", status(404))),
		fails: []string{checkServer}, clients: everybody,
	},
	{
		name: "server metadata is 500", breaks: at(wellKnownServer, cors(status(500))),
		fails: []string{checkServer}, clients: without(everybody, claudeHosted, vsCode, rmcp),
	},
	{
		name: "server metadata is 502", breaks: at(wellKnownServer, cors(status(502))),
		fails: []string{checkServer}, clients: without(everybody, claudeHosted, vsCode, tsSDK2, rmcp),
	},
	{
		name: "server metadata is guarded", breaks: at(wellKnownServer, cors(status(401))),
		fails: []string{checkServer}, clients: []string{claudeHosted, chatGPT, geminiCLI, grok, secretKeeper},
	},
	{
		name: "server metadata is a page", breaks: at(wellKnownServer, page(200)),
		fails: []string{checkServer}, clients: without(everybody, claudeHosted, vsCode, rmcp),
	},
	{name: "only OpenID Connect", breaks: onlyOpenID, warns: []string{checkServer}},
	{
		name: "issuer with a slash", breaks: edited(wellKnownServer, map[string]any{"issuer": publicOrigin + "/"}),
		fails: []string{checkIssuer}, clients: []string{tsSDK2, rmcp},
	},
	{
		name: "another issuer", breaks: edited(wellKnownServer, map[string]any{"issuer": "https://other.example.com"}),
		fails: []string{checkIssuer}, clients: []string{goSDK, tsSDK2, rmcp},
	},
	{
		name: "no issuer", breaks: edited(wellKnownServer, map[string]any{"issuer": nil}),
		fails: []string{checkServerForm, checkIssuer}, clients: with(onTypeScript, goSDK, rmcp),
	},
	{
		name: "no token endpoint", breaks: edited(wellKnownServer, map[string]any{"token_endpoint": nil}),
		fails: []string{checkServerForm, checkEndpoints}, clients: everybody,
	},
	{
		name: "http endpoints", breaks: edited(wellKnownServer, map[string]any{"token_endpoint": "http://mcp.example.com/token"}),
		fails: []string{checkEndpoints}, clients: everybody,
	},
	{
		name: "endpoints elsewhere", breaks: edited(wellKnownServer, map[string]any{"authorization_endpoint": "https://login.example.com/authorize"}),
		warns: []string{checkEndpoints},
	},
	{
		name: "a null that nobody validates", breaks: edited(wellKnownServer, map[string]any{"jwks_uri": null}),
		fails: []string{checkServerForm},
	},
	{
		name: "a null in the server metadata", breaks: edited(wellKnownServer, map[string]any{"service_documentation": null}),
		fails: []string{checkServerForm}, clients: onTypeScript,
	},
	{
		name: "no PKCE", breaks: edited(wellKnownServer, map[string]any{"code_challenge_methods_supported": nil}),
		fails: []string{checkPKCE}, clients: []string{chatGPT, goSDK},
	},
	{
		name: "plain PKCE only", breaks: edited(wellKnownServer, map[string]any{"code_challenge_methods_supported": []string{"plain"}}),
		fails: []string{checkPKCE}, clients: everybody,
	},
	{
		name: "plain PKCE too", breaks: edited(wellKnownServer, map[string]any{"code_challenge_methods_supported": []string{"plain", "S256"}}),
		warns: []string{checkPKCE},
	},
	{
		name: "no iss", breaks: edited(wellKnownServer, map[string]any{"authorization_response_iss_parameter_supported": nil}),
		warns: []string{checkIss},
	},
	{
		name: "no code", breaks: edited(wellKnownServer, map[string]any{"response_types_supported": []string{"token"}}),
		fails: []string{checkServerForm}, clients: everybody,
	},
	{
		name: "secrets only", breaks: edited(wellKnownServer, map[string]any{"token_endpoint_auth_methods_supported": []string{"client_secret_basic"}}),
		fails: []string{checkAuthMethods}, clients: []string{claudeHosted, chatGPT, grok},
	},
	{
		name: "no secrets", breaks: edited(wellKnownServer, map[string]any{"token_endpoint_auth_methods_supported": []string{"none"}}),
		fails: []string{checkAuthMethods}, clients: []string{secretKeeper},
	},
	{
		name: "auth methods not said", breaks: edited(wellKnownServer, map[string]any{"token_endpoint_auth_methods_supported": nil}),
		warns: []string{checkAuthMethods},
	},
	{
		name: "registration off", edit: func(c *gateway.Config) { c.Registration.Mode = gateway.RegistrationOff },
		fails: []string{checkRegistration}, clients: everybody,
	},
	{
		name: "registration off, documents on", edit: func(c *gateway.Config) { c.Registration.Mode = gateway.RegistrationOff },
		breaks: edited(wellKnownServer, map[string]any{"client_id_metadata_document_supported": true}),
		fails:  []string{checkRegistration}, clients: []string{cursor, inspector, geminiCLI, goSDK, tsSDK1, tsSDK2, secretKeeper},
	},
	{
		name: "a firewall before the token endpoint", breaks: at("/token", page(403), http.MethodPost),
		fails: []string{checkToken},
	},
	{
		name: "token errors are pages", breaks: at("/token", page(400), http.MethodPost),
		fails: []string{checkToken},
	},
	{
		name: "token errors are 500", breaks: at("/token", serveStatus(500, `{"error":"server_error"}`), http.MethodPost),
		fails: []string{checkToken},
	},
	{
		name: "token errors are vague", breaks: at("/token", serveStatus(400, `{"error":"invalid_request"}`), http.MethodPost),
		warns: []string{checkToken},
	},
	{
		name: "well-knowns are guarded", breaks: at(wellKnownServer+"/mcp", cors(status(401))),
		fails: []string{checkWellKnown}, clients: []string{claudeHosted},
	},
	{
		name: "well-knowns are refused", breaks: at("/mcp"+wellKnownOpenID, cors(status(403))),
		fails: []string{checkWellKnown}, clients: []string{claudeHosted},
	},
	{
		name: "well-knowns fail", breaks: at(wellKnownOpenID+"/mcp", cors(status(503))),
		fails: []string{checkWellKnown},
	},
	{
		name: "well-knowns redirect to nothing", breaks: at(wellKnownOpenID, redirect(302, "/login")),
		warns: []string{checkWellKnown, checkMetadataCORS},
	},
	{
		name: "well-knowns redirect to a page", breaks: both(at(wellKnownOpenID, redirect(302, "/login")), at("/login", cors(page(200)))),
		fails: []string{checkWellKnown},
	},
	{
		name: "well-knowns redirect away", breaks: at(wellKnownOpenID, redirect(302, "https://sso.example.net/login")),
		fails: []string{checkWellKnown},
	},
	{
		name: "well-knowns are the web application", breaks: at(wellKnownServer+"/mcp", cors(page(200))),
		fails: []string{checkWellKnown},
	},
	{name: "openid-configuration without OpenID", breaks: openIDAlias, warns: []string{checkWellKnown}},
}

func serveStatus(code int, body string) http.HandlerFunc {
	return cors(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	})
}

func onlyOpenID(next http.Handler) http.Handler {
	return at(wellKnownServer, cors(status(http.StatusNotFound)))(openIDAliasOf(next, map[string]any{
		"jwks_uri": publicOrigin + "/jwks", "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
	}))
}

func openIDAlias(next http.Handler) http.Handler { return openIDAliasOf(next, nil) }

func openIDAliasOf(next http.Handler, members map[string]any) http.Handler {
	server := edited(wellKnownServer, members)(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == wellKnownOpenID {
			r = r.Clone(r.Context())
			r.URL.Path = wellKnownServer
			server.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var brokenPages = []broken{
	{
		name: "preflight is asked for a token", breaks: at("/mcp", status(401), http.MethodOptions),
		fails: []string{checkPreflight},
	},
	{
		name: "preflight is not answered", breaks: at("/mcp", status(405), http.MethodOptions),
		warns: []string{checkPreflight},
	},
	{
		name: "preflight without Authorization", breaks: header("/mcp", 204, "Access-Control-Allow-Headers", "*"),
		warns: []string{checkPreflight},
	},
	{
		name: "nothing exposed", breaks: header("/mcp", 401, "Access-Control-Expose-Headers", ""),
		warns: []string{checkExposed},
	},
	{
		name: "metadata without CORS", breaks: header(prmPath, 200, "Access-Control-Allow-Origin", ""),
		fails: []string{checkMetadataCORS}, clients: []string{inspector},
	},
	{
		name: "server metadata for one origin", breaks: header(wellKnownServer, 200, "Access-Control-Allow-Origin", "https://app.example"),
		fails: []string{checkMetadataCORS}, clients: []string{inspector},
	},
	{
		name: "404 without CORS", breaks: header(wellKnownOpenID, 404, "Access-Control-Allow-Origin", ""),
		warns: []string{checkMetadataCORS},
	},
	{
		name: "registration without CORS", breaks: at("/register", status(405), http.MethodOptions),
		fails: []string{checkEndpointCORS}, clients: []string{inspector},
	},
	{
		name: "token without CORS", breaks: header("/token", 204, "Access-Control-Allow-Origin", ""),
		fails: []string{checkEndpointCORS}, clients: []string{inspector},
	},
}
