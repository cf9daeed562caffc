// SPDX-License-Identifier: Apache-2.0

package doctor

// family is a group of clients that discover a server in the same way, and what
// that way depends on. Where the source of a client can be read, the fields are
// what it does; for closed ones they are what was recorded on the wire or is
// documented, and where neither says anything the client is taken to follow the
// specification.
type family struct {
	id, name string

	// hosted clients run at their vendor, on the internet.
	hosted bool
	// page: it fetches metadata and registers from a web page.
	page bool
	// read is how it finds resource_metadata in the challenge.
	read func(values []string) string
	// challengePath: the challenge must name the path-inserted metadata.
	challengePath bool
	// challengeOrigin: the metadata must be at the server's own origin.
	challengeOrigin bool
	// namedOnly: where the challenge names metadata, nothing else is tried.
	namedOnly bool
	// resource judges the document's resource; mismatchFatal ends discovery there,
	// others go on as if there were no document.
	resource      func(t Target, resource string, root bool) bool
	mismatchFatal bool
	// validates: a member that is null or of the wrong type spoils the document.
	validates bool
	// needsMetadata: without protected resource metadata it gives up. Others take
	// the origin for the authorization server, as in 2025-03-26.
	needsMetadata bool
	// serversFatal: metadata without authorization_servers ends discovery.
	serversFatal bool
	// issuer judges the issuer of the server metadata; nil: it is not looked at.
	issuer func(expected, got string) bool
	// strictFetch: server metadata that is a 5xx or no JSON ends discovery; others
	// try the next address.
	strictFetch bool
	// guesses /authorize, /token and /register where there is no server metadata.
	guesses bool
	// pkce: code_challenge_methods_supported must be there. If it is there, it must
	// list S256 for every client.
	pkce bool
	// documents: its client id may be the URL of a metadata document.
	documents bool
	// secret: it keeps a client secret, and cannot do without.
	secret bool
	// needsNotFound: 401 or 403 at a well-known address ends discovery.
	needsNotFound bool
}

// Family identifiers, as in the JSON report.
const (
	claudeHosted = "claude"
	claudeCode   = "claude-code"
	chatGPT      = "chatgpt"
	vsCode       = "vscode"
	cursor       = "cursor"
	inspector    = "mcp-inspector"
	geminiCLI    = "gemini-cli"
	goSDK        = "go-sdk"
	tsSDK1       = "typescript-sdk-1"
	tsSDK2       = "typescript-sdk-2"
	grok         = "grok"
	rmcp         = "rmcp"
	secretKeeper = "le-chat"
)

// families in the order of the report.
var families = []family{
	{
		id: claudeHosted, name: "Claude (claude.ai, Desktop, mobile)", hosted: true, read: parsedReading,
		challengePath: true, namedOnly: true, resource: sameResource, mismatchFatal: true, needsMetadata: true, serversFatal: true,
		documents: true, guesses: true, needsNotFound: true,
	},
	typescript(family{id: claudeCode, name: "Claude Code", documents: true}),
	{
		id: chatGPT, name: "ChatGPT", hosted: true, read: parsedReading, resource: sameResource, mismatchFatal: true,
		needsMetadata: true, serversFatal: true, pkce: true, documents: true,
	},
	{
		id: vsCode, name: "VS Code, GitHub Copilot", read: parsedReading, namedOnly: true, resource: normalisedResource,
		validates: true, guesses: true, documents: true,
	},
	typescript(family{id: cursor, name: "Cursor"}),
	typescript(family{id: inspector, name: "MCP Inspector", page: true}),
	{
		id: geminiCLI, name: "Gemini CLI", read: quotedReading, resource: exactPath, mismatchFatal: true,
	},
	{
		id: goSDK, name: "Go SDK", read: parsedReading, resource: exactBytes, serversFatal: true,
		issuer: issuerIgnoringSlash, strictFetch: true, guesses: true, pkce: true,
	},
	typescript(family{id: tsSDK1, name: "TypeScript SDK 1"}),
	typescript(family{id: tsSDK2, name: "TypeScript SDK 2", issuer: issuerForgivingSlash}),
	{
		id: grok, name: "Grok", hosted: true, read: parsedReading, resource: sameResource, documents: true,
	},
	{
		id: rmcp, name: "rmcp: Goose, Codex", read: parsedReading, challengeOrigin: true, resource: prefixResource,
		issuer: issuerExact, guesses: true, documents: true,
	},
	{
		id: secretKeeper, name: "Le Chat, Copilot Studio", hosted: true, read: parsedReading, resource: sameResource, secret: true,
	},
}

// typescript fills in what everything built on the TypeScript SDK has in common.
func typescript(f family) family {
	f.read, f.namedOnly, f.resource, f.mismatchFatal = firstWordReading, true, prefixResource, true
	f.validates, f.strictFetch, f.guesses = true, true, true
	return f
}

// familyName is the name of a family in the report.
func familyName(id string) string {
	for _, f := range families {
		if f.id == id {
			return f.name
		}
	}
	return id
}
