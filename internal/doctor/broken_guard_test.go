// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/http"
	"time"
)

const (
	prmPath  = wellKnownResource + "/mcp"
	metadata = `Bearer resource_metadata="` + publicOrigin + prmPath + `", scope="mcp"`
)

func challengeIs(value string) func(http.Handler) http.Handler {
	return header("/mcp", http.StatusUnauthorized, "WWW-Authenticate", value)
}

var brokenGuards = []broken{
	{
		name: "let in without a token", breaks: at("/mcp", serveJSON(`{"jsonrpc":"2.0","id":1,"result":{}}`)),
		fails: []string{checkUnauthenticated, checkMethods}, warns: []string{checkPreflight, checkExposed}, clients: everybody,
	},
	{
		name: "403 instead of 401", breaks: at("/mcp", status(http.StatusForbidden)),
		fails: []string{checkUnauthenticated}, clients: everybody,
	},
	{
		name: "404", breaks: at("/mcp", status(http.StatusNotFound)),
		fails: []string{checkUnauthenticated}, clients: everybody,
	},
	{
		name: "500", breaks: at("/mcp", status(http.StatusInternalServerError)),
		fails: []string{checkUnauthenticated}, clients: everybody,
	},
	{
		name: "a sign-in page", breaks: at("/mcp", page(http.StatusOK)),
		fails: []string{checkUnauthenticated, checkMethods}, warns: []string{checkPreflight}, clients: everybody,
	},
	{
		name: "a redirect to a sign-in page", breaks: at("/mcp", redirect(http.StatusFound, "https://sso.example.net/login")),
		fails: []string{checkUnauthenticated}, clients: everybody,
	},
	{
		name: "a firewall", breaks: at("/mcp", page(http.StatusForbidden)),
		fails: []string{checkUnauthenticated}, clients: everybody,
	},
	{
		name: "a 301 to the slash", breaks: at("/mcp", redirect(http.StatusMovedPermanently, "/mcp/")),
		fails: []string{checkUnauthenticated}, clients: everybody,
	},
	{
		name: "a 307 to the slash", breaks: at("/mcp", redirect(http.StatusTemporaryRedirect, "/mcp/")),
		fails: []string{checkUnauthenticated}, clients: with(onTypeScript, geminiCLI),
	},
	{
		name: "a 308 from the slash", address: publicURL + "/", breaks: at("/mcp/", redirect(http.StatusPermanentRedirect, "/mcp")),
		fails: []string{checkUnauthenticated}, clients: []string{geminiCLI},
	},
	{
		name: "HEAD is not guarded", breaks: at("/mcp", status(http.StatusMethodNotAllowed), http.MethodHead),
		warns: []string{checkMethods},
	},
	{name: "GET is let in", breaks: at("/mcp", serveJSON(`{}`), http.MethodGet), fails: []string{checkMethods}},
	{
		name: "an event stream without end", breaks: at("/mcp", endless, http.MethodGet),
		fails: []string{checkMethods},
	},
	{name: "any token is let in", breaks: onlyWithToken(serveJSON(`{}`)), fails: []string{checkBadToken}},
	{
		name: "a bad token is 403", breaks: onlyWithToken(status(http.StatusForbidden)),
		fails: []string{checkBadToken},
	},
	{
		name: "a firewall reads Authorization", breaks: onlyWithToken(page(http.StatusForbidden)),
		fails: []string{checkBadToken},
	},
	{name: "the slash is open", breaks: at("/mcp/", serveJSON(`{}`)), fails: []string{checkSlash}},
	{
		name: "the slash is unknown", breaks: at("/mcp/", status(http.StatusNotFound)),
		warns: []string{checkSlash},
	},
	{
		name: "only initialize is guarded", breaks: modernIsOpen,
		fails: []string{checkUnauthenticated}, clients: []string{goSDK},
	},
}

// endless is an event stream that nobody ends.
func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	select {
	case <-r.Context().Done():
	case <-time.After(20 * time.Second):
	}
}

func onlyWithToken(serve http.HandlerFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				serve(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func modernIsOpen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Method") != "" {
			serveJSON(`{}`)(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var brokenChallenges = []broken{
	{
		name: "no WWW-Authenticate", breaks: challengeIs(""),
		fails: []string{checkChallenge}, warns: []string{checkMethods, checkBadToken},
	},
	{
		name: "Basic", breaks: challengeIs(`Basic realm="mcp"`),
		fails: []string{checkChallenge}, warns: []string{checkBadToken},
	},
	{
		name: "Basic first", breaks: challengeIs(`Basic realm="mcp", ` + metadata),
		fails: []string{checkChallenge}, warns: []string{checkBadToken},
	},
	{
		name: "no resource_metadata", breaks: challengeIs(`Bearer realm="mcp"`),
		fails: []string{checkChallenge}, warns: []string{checkBadToken, checkChallengeScope},
	},
	{
		name: "not quoted", breaks: challengeIs(`Bearer resource_metadata=` + publicOrigin + prmPath),
		fails: []string{checkChallenge}, warns: []string{checkBadToken, checkChallengeScope},
	},
	{
		name: "not quoted, and not a token", breaks: challengeIs(`Bearer resource_metadata=` + publicOrigin + prmPath + `?a=b c`),
		fails: []string{checkChallenge}, warns: []string{checkBadToken},
	},
	{
		name: "unterminated", breaks: challengeIs(`Bearer resource_metadata="` + publicOrigin + prmPath),
		fails: []string{checkChallenge}, warns: []string{checkBadToken}, clients: []string{goSDK},
	},
	{
		name: "the root document", breaks: challengeIs(`Bearer resource_metadata="` + publicOrigin + wellKnownResource + `", scope="mcp"`),
		fails: []string{checkChallengeURL, checkResource}, warns: []string{checkBadToken}, clients: []string{claudeHosted, chatGPT, geminiCLI},
	},
	{
		name: "another origin", breaks: challengeIs(`Bearer resource_metadata="https://other.example.net` + prmPath + `", scope="mcp"`),
		fails: []string{checkChallengeURL}, warns: []string{checkBadToken}, clients: []string{claudeHosted, tsSDK2, rmcp},
	},
	{
		name: "http behind a proxy", breaks: challengeIs(`Bearer resource_metadata="http://mcp.example.com` + prmPath + `", scope="mcp"`),
		fails: []string{checkChallengeURL}, warns: []string{checkBadToken}, clients: []string{claudeHosted, rmcp},
	},
	{
		name: "a document that is not there", breaks: challengeIs(`Bearer resource_metadata="` + publicOrigin + wellKnownResource + `/nothing", scope="mcp"`),
		fails: []string{checkChallengeURL}, warns: []string{checkBadToken}, clients: []string{claudeHosted},
	},
	{
		name: "an error code", breaks: challengeIs(metadata + `, error="invalid_token"`),
		warns: []string{checkChallengeError},
	},
	{
		name: "no scope", breaks: challengeIs(`Bearer resource_metadata="` + publicOrigin + prmPath + `"`),
		warns: []string{checkBadToken, checkChallengeScope},
	},
	{
		name: "a decoy in the realm", breaks: challengeIs(`Bearer realm="resource_metadata=decoy", resource_metadata="` + publicOrigin + prmPath + `", scope="mcp"`),
		fails: []string{checkChallenge}, warns: []string{checkBadToken},
	},
}
