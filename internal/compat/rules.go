// SPDX-License-Identifier: Apache-2.0

package compat

// Rule is something a client insists on. Where it is not met the client gives up,
// or does something worse.
type Rule struct {
	// Name is how the files call it.
	Name string
	// Says is the rule in words.
	Says string
	// Check judges what the client saw.
	Check func(*Seen) error
}

// Rules are all of them, in the order in which a client meets them.
var Rules = []Rule{
	{"challenge-401", "the first request without a token is answered 401", challenge401},
	{"challenge-bearer-first", `WWW-Authenticate begins with "Bearer "`, challengeBearerFirst},
	{"challenge-metadata", "the 401 names the metadata, in quotes", challengeMetadata},
	{"challenge-path-metadata", "the 401 names the metadata of the path, not of the root", challengePathMetadata},
	{"challenge-same-origin", "the metadata is on the server's own origin", challengeSameOrigin},
	{"challenge-bare", "the 401 has no error where no credentials were sent", challengeBare},

	{"prm-exact", "`resource` is the URL, byte for byte", prmExact},
	{"prm-equal", "`resource` is the URL, after URL parsing", prmEqual},
	{"prm-prefix", "`resource` is on the URL's origin and a prefix of its path", prmPrefix},
	{"root-prm-origin", "`resource` of the root document is the origin", rootPRMOrigin},
	{"documents-json", "documents are served as application/json, unauthenticated, without a redirect", documentsJSON},
	{"no-nulls", "no answer has a null member", noNulls},

	{"issuer-exact", "`issuer` is authorization_servers[0], byte for byte", issuerExact},
	{"same-origin-server", "the authorization server is on the server's own origin", sameOriginServer},
	{"endpoint-names", "endpoints end in /authorize, /token and /register", endpointNames},
	{"pkce", "S256 and response type code are offered", pkce},
	{"method-offered", "the method the client registers is offered", methodOffered},

	{"cors", "a web page may send what it needs to, and read the answers", cors},

	{"registered", "registration answers 201 with the method that was asked for", registered},
	{"registered-uris", "every redirect URI that was registered is kept", registeredURIs},
	{"no-secret", "a public client gets no secret", noSecret},
	{"secret", "registration gives a client_secret and says when it expires", secret},
	{"plain-credentials", "client id and secret need no encoding in Basic credentials", plainCredentials},

	{"callback-exact", "the answer comes to the redirect URI that was asked for", callbackExact},
	{"state", "`state` comes back unchanged, once", state},
	{"iss", "`iss` comes back and is the issuer, if the metadata promises it", iss},
	{"iss-only-if-promised", "`iss` does not come back unless the metadata promises it", issOnlyIfPromised},

	{"token", "tokens come as JSON with type Bearer, an expiry, and no-store", tokenAnswer},
	{"refresh-token", "there is a refresh token, even if offline_access was not asked for", refreshToken},
	{"refreshed", "a refresh gives a new access token and a refresh token to go on with", refreshed},
}

// RuleNamed finds a rule.
func RuleNamed(name string) (Rule, bool) {
	for _, r := range Rules {
		if r.Name == name {
			return r, true
		}
	}
	return Rule{}, false
}
