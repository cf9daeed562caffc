// SPDX-License-Identifier: Apache-2.0

package oauth

import "slices"

// Paths of an issuer, below its origin (R1.1). Clients without metadata guess
// the first three.
const (
	PathAuthorize  = "/authorize"
	PathToken      = "/token"
	PathRegister   = "/register"
	PathRevoke     = "/revoke"
	PathIntrospect = "/introspect"
	PathCallback   = "/callback/" // followed by the name of an upstream
	PathJWKS       = "/jwks"
	PathAccount    = "/account"
	PathSignOut    = "/signout"

	// WellKnownResource is followed by the path of the resource (RFC 9728 §3.1).
	WellKnownResource = "/.well-known/oauth-protected-resource"
	WellKnownServer   = "/.well-known/oauth-authorization-server"
	WellKnownOpenID   = "/.well-known/openid-configuration"
)

// ServerMetadata is the authorization server metadata document (RFC 8414 §2,
// RFC 9207 §3, RFC 9728 §4). Zero values are left out when it is marshalled.
type ServerMetadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	RegistrationEndpoint  string   `json:"registration_endpoint,omitempty"`
	RevocationEndpoint    string   `json:"revocation_endpoint,omitempty"`
	IntrospectionEndpoint string   `json:"introspection_endpoint,omitempty"`
	JWKSURI               string   `json:"jwks_uri,omitempty"`
	ScopesSupported       []string `json:"scopes_supported,omitempty"`

	ResponseTypesSupported []string `json:"response_types_supported"`
	ResponseModesSupported []string `json:"response_modes_supported"`
	GrantTypesSupported    []string `json:"grant_types_supported"`

	CodeChallengeMethodsSupported              []string `json:"code_challenge_methods_supported"`
	TokenEndpointAuthMethodsSupported          []string `json:"token_endpoint_auth_methods_supported"`
	RevocationEndpointAuthMethodsSupported     []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	IntrospectionEndpointAuthMethodsSupported  []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	TokenEndpointAuthSigningAlgValuesSupported []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	// RFC 8414 §2: wherever private_key_jwt is a method, so are its algorithms.
	RevocationEndpointAuthSigningAlgValuesSupported    []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionEndpointAuthSigningAlgValuesSupported []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	AuthorizationResponseIssParameterSupported         bool     `json:"authorization_response_iss_parameter_supported"`
	ClientIDMetadataDocumentSupported                  bool     `json:"client_id_metadata_document_supported,omitempty"`

	ProtectedResources   []string `json:"protected_resources,omitempty"`
	ServiceDocumentation string   `json:"service_documentation,omitempty"`
}

// ServerMetadataOptions says what an issuer offers. Only endpoints that exist are
// announced.
type ServerMetadataOptions struct {
	// Scopes are those of all resources; offline_access is added to them.
	Scopes []string
	// ProtectedResources are the identifiers of the resources (RFC 9728 §4).
	ProtectedResources []string

	Registration      bool // RFC 7591 is not switched off
	Revocation        bool // RFC 7009
	Introspection     bool // RFC 7662
	JWKS              bool // keys of the identity assertion
	ClientIDDocuments bool // client ID metadata documents are fetched
	PrivateKeyJWT     bool // client assertions are accepted (RFC 7523)

	ServiceDocumentation string
}

// NewServerMetadata describes an issuer, which is a bare origin without a
// trailing slash. Nothing in the result is shared with opts.
func NewServerMetadata(issuer string, opts ServerMetadataOptions) *ServerMetadata {
	secrets := []string{AuthPost, AuthBasic}
	if opts.PrivateKeyJWT {
		secrets = append(secrets, AuthPrivateKeyJWT)
	}
	methods := append([]string{AuthNone}, secrets...)
	m := &ServerMetadata{
		Issuer:                issuer,
		AuthorizationEndpoint: issuer + PathAuthorize,
		TokenEndpoint:         issuer + PathToken,
		ScopesSupported:       withOfflineAccess(opts.Scopes),

		ResponseTypesSupported: []string{"code"},
		ResponseModesSupported: []string{"query"},
		GrantTypesSupported:    []string{GrantAuthorizationCode, GrantRefreshToken},

		CodeChallengeMethodsSupported:              []string{MethodS256},
		TokenEndpointAuthMethodsSupported:          methods,
		AuthorizationResponseIssParameterSupported: true,
		ClientIDMetadataDocumentSupported:          opts.ClientIDDocuments,

		ProtectedResources:   slices.Clone(opts.ProtectedResources),
		ServiceDocumentation: opts.ServiceDocumentation,
	}
	if opts.Registration {
		m.RegistrationEndpoint = issuer + PathRegister
	}
	if opts.Revocation {
		m.RevocationEndpoint = issuer + PathRevoke
		m.RevocationEndpointAuthMethodsSupported = slices.Clone(methods)
	}
	if opts.Introspection {
		m.IntrospectionEndpoint = issuer + PathIntrospect
		m.IntrospectionEndpointAuthMethodsSupported = secrets
	}
	if opts.PrivateKeyJWT {
		m.nameAlgorithms()
	}
	if opts.JWKS {
		m.JWKSURI = issuer + PathJWKS
	}
	return m
}

// nameAlgorithms says what an assertion may be signed with, for each endpoint
// that accepts one (RFC 8414 §2).
func (m *ServerMetadata) nameAlgorithms() {
	m.TokenEndpointAuthSigningAlgValuesSupported = slices.Clone(AssertionAlgorithms)
	if m.RevocationEndpoint != "" {
		m.RevocationEndpointAuthSigningAlgValuesSupported = slices.Clone(AssertionAlgorithms)
	}
	if m.IntrospectionEndpoint != "" {
		m.IntrospectionEndpointAuthSigningAlgValuesSupported = slices.Clone(AssertionAlgorithms)
	}
}

// withOfflineAccess lists each scope once, offline_access last. Listing it here
// is how clients learn that they may ask for a refresh token (R3.9).
func withOfflineAccess(scopes []string) []string {
	var list []string
	for _, s := range scopes {
		if s != ScopeOfflineAccess && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return append(list, ScopeOfflineAccess)
}

// ResourceMetadata is the protected resource metadata document (RFC 9728 §2).
// Zero values are left out when it is marshalled. Resource must be the identifier
// the well-known path was made from, byte for byte (RFC 9728 §3.3), and
// offline_access is never among its scopes (R2.7).
type ResourceMetadata struct {
	Resource               string   `json:"resource"`
	AuthorizationServers   []string `json:"authorization_servers"`
	ScopesSupported        []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported []string `json:"bearer_methods_supported"`
	ResourceName           string   `json:"resource_name,omitempty"`
	ResourceDocumentation  string   `json:"resource_documentation,omitempty"`
	ResourcePolicyURI      string   `json:"resource_policy_uri,omitempty"`
	ResourceTOSURI         string   `json:"resource_tos_uri,omitempty"`
}
