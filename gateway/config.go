// SPDX-License-Identifier: Apache-2.0

// Package gateway is the authorization server and the guard in front of the
// backend, as plain net/http. It knows nothing of Caddy.
package gateway

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// Config is one issuer of one loaded configuration. It is complete and
// immutable: New validates it and fills in nothing.
type Config struct {
	// Issuer is the bare origin, "https://mcp.example.com": lower case, no
	// trailing slash, default port left out. http only on a loopback host.
	Issuer string
	// Resources are the protected MCP servers of this issuer. The first one is
	// the default: an absent or origin `resource` parameter means it.
	Resources []*Resource
	// Upstreams are the identity providers a user may choose from, at least one.
	Upstreams []upstream.Upstream
	// Allowed is what the allow rules of the whole configuration, of every issuer, say
	// of a resource and a person, as in Recheck. A sign-in brings the facts that these
	// rules ask for, and only they can tell that one is missing. Nil means the judge
	// (see SetJudge).
	Allowed func(resource string, id identity.Identity) bool

	AccessTokenTTL  time.Duration
	RefreshTokenTTL time.Duration
	RefreshGrace    time.Duration

	Registration Registration
	// ClientDocuments are client ID metadata documents, Clients those that the
	// operator wrote down.
	ClientDocuments ClientDocuments
	Clients         []PreregisteredClient
	Limits          Limits

	// ClientAddr is the address a request is attributed to for rate limits. Nil
	// means the TCP peer.
	ClientAddr func(*http.Request) string
	Logger     *slog.Logger
}

// Resource is one protected MCP server as the client sees it.
type Resource struct {
	// Path is "/mcp" or "/": rooted, without trailing slash.
	Path string
	// Also are further paths of the same resource (legacy HTTP+SSE).
	Also []string
	// Name is shown on the consent page and as resource_name (RFC 9728).
	Name string
	// Scopes is scopes_supported, the baseline every token of this resource gets
	// unless the client asks for less. Not empty.
	Scopes []string
	// RequireScopes must all be covered by a token, or the answer is 403 and a
	// challenge to sign in for more. Scopes cover them, so that who asks for what
	// it is told to never sees that. Empty: any token of the resource will do.
	RequireScopes []string
	// ScopeIncludes is which scopes include others. Those it names beyond Scopes
	// are granted to clients that ask for them, and advertised to none.
	ScopeIncludes oauth.ScopeHierarchy
	// Policy decides who is allowed. Not nil.
	Policy *policy.Policy
	// IdentityHeaders says whether the backend is told who calls.
	IdentityHeaders bool
	// DeferIdentity leaves the identity headers to whoever sends the request to the
	// backend: Admitted.WithIdentity. What lies between does not see them.
	DeferIdentity bool
	// ForwardUpstreamToken sends the backend the user's token of the upstream, in
	// Authorization: the backend acts for the user there. The client never gets it
	// from us; a backend that repeats what it was sent is out of our hands, so it is
	// for backends that are trusted with it. The consent page says so.
	ForwardUpstreamToken bool
	// AllowedOrigins are browser origins besides the issuer's own.
	AllowedOrigins []string
	// Backends are the dial addresses behind this resource, "localhost:3000". A
	// Location header naming one of them is made public. Empty for guard-only use.
	Backends []string
	// BackendPath replaces Path on the way to the backend. Empty: not rewritten.
	BackendPath string
}

// RegistrationMode says who may register a client (RFC 7591).
type RegistrationMode string

const (
	// RegistrationOpen lets anybody register, as the MCP specification expects.
	RegistrationOpen RegistrationMode = "open"
	// RegistrationOff removes the endpoint.
	RegistrationOff RegistrationMode = "off"
	// RegistrationToken asks for an initial access token (RFC 7591 §3).
	RegistrationToken RegistrationMode = "token"
)

// Registration configures dynamic client registration.
type Registration struct {
	Mode RegistrationMode
	// Token is the initial access token of RegistrationToken.
	Token string
}

// Limits bounds what one source may do. See Config.ClientAddr.
type Limits struct {
	// Registrations count per client address, and for clients with https redirect
	// URIs only per redirect host and address: hosted clients share a few egress
	// addresses. One address has ten times the rate over all redirect hosts.
	Registrations Rate
	// Authorizations count requests of the pages, per client address.
	Authorizations Rate
	// Tokens count failed requests to the token endpoint, per client address.
	Tokens Rate
}

// Rate is Events per Per, with bursts of Events. The zero Rate is no limit.
type Rate struct {
	Events int
	Per    time.Duration
}
