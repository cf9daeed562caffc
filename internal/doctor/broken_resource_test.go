// SPDX-License-Identifier: Apache-2.0

package doctor

import "net/http"

var brokenResources = []broken{
	{
		name: "no document at the path", breaks: at(prmPath, cors(status(http.StatusNotFound))),
		fails: []string{checkMetadata}, clients: []string{claudeHosted, geminiCLI},
	},
	{
		name: "no document at the root", breaks: at(wellKnownResource, cors(status(http.StatusNotFound))),
		warns: []string{checkRootMetadata},
	},
	{
		name: "no document at all", breaks: both(at(prmPath, cors(status(404))), at(wellKnownResource, cors(status(404)))),
		fails: []string{checkMetadata}, warns: []string{checkRootMetadata}, clients: []string{claudeHosted, chatGPT},
	},
	{
		name: "the document is guarded", breaks: both(at(prmPath, status(401)), at(wellKnownResource, status(401))),
		fails: []string{checkMetadata, checkRootMetadata}, clients: []string{claudeHosted, chatGPT},
	},
	{
		name: "the document is a page", breaks: at(prmPath, page(http.StatusOK)),
		fails: []string{checkMetadata}, clients: []string{claudeHosted, geminiCLI},
	},
	{
		name: "a firewall before the document", breaks: at(prmPath, page(http.StatusServiceUnavailable)),
		fails: []string{checkMetadata}, clients: []string{claudeHosted, geminiCLI},
	},
	{
		name: "the document is too long", breaks: at(prmPath, long),
		fails: []string{checkMetadata}, clients: []string{claudeHosted, geminiCLI},
	},
	{
		name: "resource is the origin", breaks: edited(prmPath, map[string]any{"resource": publicOrigin}),
		fails: []string{checkResource}, clients: []string{claudeHosted, chatGPT, geminiCLI},
	},
	{
		name: "resource has a slash", breaks: edited(prmPath, map[string]any{"resource": publicURL + "/"}),
		fails: []string{checkResource}, clients: with(onTypeScript, geminiCLI),
	},
	{
		name: "resource is http", breaks: edited(prmPath, map[string]any{"resource": "http://mcp.example.com/mcp"}),
		fails: []string{checkResource}, clients: with(onTypeScript, claudeHosted, chatGPT, geminiCLI),
	},
	{
		name: "resource is another", breaks: edited(prmPath, map[string]any{"resource": publicOrigin + "/other"}),
		fails: []string{checkResource}, clients: with(onTypeScript, claudeHosted, chatGPT, geminiCLI),
	},
	{
		name: "no resource", breaks: edited(prmPath, map[string]any{"resource": nil}),
		fails: []string{checkResource}, clients: []string{claudeHosted, chatGPT, geminiCLI},
	},
	{
		name: "a null", breaks: edited(prmPath, map[string]any{"resource_documentation": null}),
		fails: []string{checkResourceForm},
	},
	{
		name: "an empty list", breaks: edited(prmPath, map[string]any{"scopes_supported": []string{}}),
		fails: []string{checkResourceForm},
	},
	{
		name: "no authorization server", breaks: edited(prmPath, map[string]any{"authorization_servers": nil}),
		fails: []string{checkServers}, clients: []string{claudeHosted, chatGPT, goSDK},
	},
	{name: "an authorization server elsewhere", breaks: elsewhere, warns: []string{checkServers}},
	{
		name: "an http authorization server", breaks: edited(prmPath, map[string]any{"authorization_servers": []string{"http://mcp.example.com"}}),
		fails: []string{checkServers, checkServer}, clients: without(everybody, goSDK),
	},
	{
		name: "the slash document forgets the slash", breaks: edited(prmPath+"/", map[string]any{"resource": publicURL}),
		warns: []string{checkSlashResource},
	},
	{
		name: "no slash document", breaks: at(prmPath+"/", cors(status(http.StatusNotFound))),
		warns: []string{checkSlashResource},
	},
	{
		name: "typed in capitals", address: "https://MCP.example.com/mcp",
		fails: []string{checkResource}, warns: []string{checkSlashResource}, clients: []string{goSDK},
	},
	{
		name: "typed with its port", address: "https://mcp.example.com:443/mcp",
		fails: []string{checkResource}, warns: []string{checkSlashResource}, clients: []string{goSDK},
	},
	{
		name: "typed with a query", address: publicURL + "?utm_source=x",
		fails: []string{checkResource}, clients: []string{goSDK},
	},
}

// elsewhere is a server whose authorization server has another host, as the
// specification allows.
func elsewhere(next http.Handler) http.Handler {
	const auth = "https://auth.example.com"
	changed := edited(prmPath, map[string]any{"authorization_servers": []string{auth}})(next)
	changed = edited(wellKnownServer, map[string]any{
		"issuer": auth, "authorization_endpoint": auth + "/authorize", "token_endpoint": auth + "/token", "registration_endpoint": auth + "/register",
	})(changed)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == wellKnownServer && r.Host == "mcp.example.com" {
			cors(status(http.StatusNotFound))(w, r)
			return
		}
		changed.ServeHTTP(w, r)
	})
}

func long(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	_, _ = w.Write([]byte(`{"resource":"` + publicURL + `","x":"`))
	for range 3 * maxBody / 1024 {
		_, _ = w.Write(make([]byte, 1024))
	}
}
